import math

import pytest
import torch
from torch import Tensor

from astrobio.data.climate_dataset import sample_planets
from astrobio.data.cubes import CUBE_SAMPLING_RANGES
from astrobio.data.energy_balance import (
    CONVERGED_K,
    INFRARED_SLOPE_W_M2_K,
    SECONDS_PER_YEAR,
    albedo,
    outgoing_infrared,
    simulate_climate,
)
from astrobio.data.insolation import cell_mean_insolation
from astrobio.data.land import cell_centres, sample_land
from astrobio.data.planets import PARAMETER_NAMES, PlanetParameters, earth
from astrobio.data.surface import (
    LAND_HEAT_CAPACITY_J_M2_K,
    annual_surface_budget,
    heat_capacity,
    simulate_surface,
    surface_transport,
)

DOUBLE = torch.float64
GRID = {"num_latitudes": 6, "num_longitudes": 12}


def one_planet(**changes: float) -> PlanetParameters:
    table = earth().to_tensor()
    for name, value in changes.items():
        table[0, PARAMETER_NAMES.index(name)] = value
    return PlanetParameters.from_tensor(table)


def continents(num_planets: int = 1, fraction: float = 0.4, seed: int = 0) -> Tensor:
    shares = torch.full((num_planets,), fraction, dtype=DOUBLE)
    return sample_land(shares, torch.Generator().manual_seed(seed), **GRID)


@pytest.fixture(scope="module")
def sampled() -> PlanetParameters:
    return sample_planets(20, torch.Generator().manual_seed(3), CUBE_SAMPLING_RANGES)


@pytest.fixture(scope="module")
def sampled_land() -> Tensor:
    return continents(20)


@pytest.fixture(scope="module")
def sampled_cycle(sampled: PlanetParameters, sampled_land: Tensor) -> Tensor:
    return simulate_surface(sampled, sampled_land).temperature_k


def test_the_annual_global_energy_balance_closes(sampled: PlanetParameters, sampled_cycle: Tensor) -> None:
    insolation = cell_mean_insolation(sampled, num_times=48, num_latitudes=6)[..., None]
    absorbed = (insolation * (1 - albedo(sampled_cycle))).mean(dim=(1, 2, 3))
    imbalance = annual_surface_budget(sampled_cycle, sampled).mean(dim=(1, 2))
    # As for the zonal model: a change of 1e-6 K a year in 100 m of water is 1.3e-7 of what is absorbed.
    assert (imbalance / absorbed).abs().max() <= 1e-6


def test_every_step_of_the_cycle_solves_the_implicit_equation(
    sampled: PlanetParameters, sampled_land: Tensor, sampled_cycle: Tensor
) -> None:
    insolation = cell_mean_insolation(sampled, num_times=48, num_latitudes=6)[..., None]
    storage = heat_capacity(sampled, sampled_land)[:, None] * 48 / SECONDS_PER_YEAR
    stored = storage * (sampled_cycle - sampled_cycle.roll(1, dims=1))
    gained = (
        insolation * (1 - albedo(sampled_cycle))
        - outgoing_infrared(sampled_cycle, sampled.co2_ppm[:, None, None, None])
        + surface_transport(sampled_cycle, sampled.diffusivity)
    )
    # The first step starts from a year that is off by CONVERGED_K; C/dt is at most 610 W/m2/K.
    assert (stored - gained).abs().max() <= 700 * CONVERGED_K


def test_a_planet_without_land_has_the_climate_of_the_zonal_model() -> None:
    planets, no_land = one_planet(), torch.zeros(1, 6, 12, dtype=torch.bool)
    surface = simulate_surface(planets, no_land).temperature_k
    zonal = simulate_climate(planets, num_latitudes=6).temperature_k
    assert (surface - zonal[..., None]).abs().max() <= 2 * CONVERGED_K


def test_far_from_ice_land_changes_the_seasons_but_not_the_annual_mean() -> None:
    # With a constant albedo the equation is linear, and the mean of C dT/dt over a year that repeats is zero.
    hot = one_planet(instellation=1.6, obliquity_deg=10.0)
    land = continents()
    with_land = simulate_surface(hot, land).temperature_k
    without = simulate_surface(hot, torch.zeros_like(land)).temperature_k
    assert without.min() > 320  # 57 K above the ice edge, where the albedo has reached its limit to 1e-9
    assert (with_land.mean(dim=1) - without.mean(dim=1)).abs().max() < 1e-4
    amplitude, amplitude_without = (field.amax(dim=1) - field.amin(dim=1) for field in (with_land, without))
    assert amplitude[land].mean() > 2 * amplitude_without[land].mean()


def test_land_has_larger_seasons_than_the_sea_at_its_latitude(sampled_land: Tensor) -> None:
    land = sampled_land[:1]
    temperature = simulate_surface(one_planet(), land).temperature_k
    amplitude = (temperature.amax(dim=1) - temperature.amin(dim=1))[0]
    mixed = [row for row in range(6) if land[0, row].any() and not land[0, row].all()]
    assert mixed
    for row in mixed:
        assert amplitude[row][land[0, row]].mean() > amplitude[row][~land[0, row]].mean()


def test_earth_with_continents_is_within_3_kelvin_of_288() -> None:
    assert abs(float(simulate_surface(one_planet(), continents(fraction=0.29)).temperature_k.mean()) - 288) < 3


def test_earth_with_continents_has_a_warm_and_a_frozen_climate() -> None:
    land = continents(fraction=0.29)
    warm = simulate_surface(one_planet(), land).temperature_k
    frozen = simulate_surface(one_planet(), land, initial_temperature_k=220.0).temperature_k
    assert warm.mean() > 280
    assert frozen.mean(dim=1).max() < 263.15


def test_turning_the_continents_turns_the_climate() -> None:
    land = continents()
    turned = simulate_surface(one_planet(), land.roll(5, dims=-1)).temperature_k
    assert (turned - simulate_surface(one_planet(), land).temperature_k.roll(5, dims=-1)).abs().max() <= 2 * CONVERGED_K


def test_transport_moves_heat_without_making_any() -> None:
    temperature = 280 + 30 * torch.randn(3, 5, 6, 12, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    convergence = surface_transport(temperature, torch.tensor([0.4, 0.6, 1.2], dtype=DOUBLE))
    # Fluxes below 1e4 W/m2 enter 72 cells with both signs.
    assert convergence.sum(dim=(-1, -2)).abs().max() <= 4 * 72 * 1e4 * torch.finfo(DOUBLE).eps
    assert convergence.abs().max() > 1


def test_transport_converges_to_the_laplacian_of_a_spherical_harmonic() -> None:
    # (1 - x^2) cos 2l has eigenvalue -6; halving the cells has to lower the error of second order fourfold.
    errors = []
    for size in (8, 16, 32):
        sin_latitude, longitude = cell_centres(size, 2 * size)
        harmonic = (1 - sin_latitude**2)[:, None] * (2 * longitude).cos()
        laplacian = surface_transport(harmonic[None, None], torch.ones(1, dtype=DOUBLE))[0, 0]
        errors.append(float((laplacian + 6 * harmonic).square().mean().sqrt()))
    assert errors[0] > 3.5 * errors[1]
    assert errors[1] > 3.5 * errors[2]


def test_a_lone_land_cell_relaxes_at_its_own_rate() -> None:
    # All land, no seasons but those of a strong eccentricity, and so strong a transport that the planet is isothermal:
    # then T obeys C dT/dt = S(t) a - F(T), whose backward Euler cycle is a short recurrence.
    planets = one_planet(obliquity_deg=0.0, eccentricity=0.1, diffusivity=1e7, instellation=1.6)
    all_land = torch.ones(1, 6, 12, dtype=torch.bool)
    temperature = simulate_surface(planets, all_land).temperature_k.mean(dim=(2, 3))[0]
    absorbed = cell_mean_insolation(planets, num_times=48, num_latitudes=6).mean(dim=-1)[0] * 0.7
    storage = LAND_HEAT_CAPACITY_J_M2_K * 48 / SECONDS_PER_YEAR
    intercept = float(outgoing_infrared(torch.zeros(1, dtype=DOUBLE), planets.co2_ppm))
    expected = torch.full_like(temperature, 288.0)
    for step in range(48 * 40):  # the air column forgets in C/B = 58 days
        previous = expected[(step - 1) % 48]
        expected[step % 48] = (storage * previous + absorbed[step % 48] - intercept) / (storage + INFRARED_SLOPE_W_M2_K)
    assert (temperature - expected).abs().max() < 1e-3
    assert expected.max() - expected.min() > 5


def test_a_planet_has_the_same_climate_alone_and_in_a_batch(
    sampled: PlanetParameters, sampled_land: Tensor, sampled_cycle: Tensor
) -> None:
    alone = simulate_surface(PlanetParameters.from_tensor(sampled.to_tensor()[18:19]), sampled_land[18:19])
    # Each stops within CONVERGED_K a year of the cycle, which a planet approaches in no more than a hundred years.
    assert (alone.temperature_k[0] - sampled_cycle[18]).abs().max() <= 100 * CONVERGED_K


def test_the_acceleration_finds_the_cycle_that_marching_alone_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerated = simulate_surface(one_planet(), continents())
    monkeypatch.setattr("astrobio.data.surface._ACCELERATED_BELOW_K", 0.0)
    marched = simulate_surface(one_planet(), continents())
    assert accelerated.years[0] < marched.years[0] / 2
    assert (accelerated.temperature_k - marched.temperature_k).abs().max() <= 100 * CONVERGED_K


def test_a_cycle_that_does_not_repeat_in_time_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"1 of 1 planets do not repeat within 2 years; planet 0 still changes by"):
        simulate_surface(one_planet(), continents(), max_years=2)


def test_land_that_is_no_mask_of_the_planets_is_an_error() -> None:
    with pytest.raises(TypeError, match="land must be bool"):
        simulate_surface(one_planet(), continents().double())
    with pytest.raises(ValueError, match=r"land must be \(B = 1, latitude, longitude\)"):
        simulate_surface(one_planet(), continents(2))
    with pytest.raises(ValueError, match="max_years must be at least 1"):
        simulate_surface(one_planet(), continents(), max_years=0)


def test_heat_capacity_is_that_of_the_air_on_land_and_of_the_mixed_layer_at_sea() -> None:
    land = torch.tensor([[[True, False]]])
    capacity = heat_capacity(earth(), land)[0, 0]
    assert math.isclose(float(capacity[0]), 1.038e7, rel_tol=1e-3)  # 1004.7 * 101325 / 9.80665
    assert float(capacity[1]) == 50 * 4.0e6
