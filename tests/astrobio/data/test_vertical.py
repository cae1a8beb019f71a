import pytest
import torch
from torch import Tensor

from astrobio.data.vertical import (
    ADIABAT_EXPONENT,
    STEFAN_BOLTZMANN_W_M2_K4,
    equal_mass_levels,
    grey_columns,
    net_infrared,
    saturation_pressure,
    specific_humidity,
)

DOUBLE = torch.float64
SURFACE_K = torch.tensor([210.0, 250.0, 288.0, 320.0], dtype=DOUBLE)
FLUX_W_M2 = torch.tensor([75.0, 155.0, 234.0, 295.0], dtype=DOUBLE)


def fine_sigma(num_levels: int = 8001) -> Tensor:
    return torch.linspace(1.0, 1e-4, num_levels, dtype=DOUBLE)


def test_the_flux_to_space_is_what_the_whole_column_emits() -> None:
    # An independent way: the formal solution of the transfer equation with trapezoids in transmission.
    sigma = fine_sigma()
    columns = grey_columns(SURFACE_K, FLUX_W_M2, sigma)
    depth = columns.surface_depth[:, None] * sigma**2
    source = STEFAN_BOLTZMANN_W_M2_K4 * columns.temperature_k**4
    transmission = (-depth).exp()
    emitted = (0.5 * (source[:, 1:] + source[:, :-1]) * transmission.diff(dim=1)).sum(dim=1)
    emitted = emitted + STEFAN_BOLTZMANN_W_M2_K4 * SURFACE_K**4 * transmission[:, 0]
    # Interpolation in a table of 1024 columns, 1.4e-2 apart in the logarithm of depth: measured 5e-6 of the flux.
    assert ((emitted - FLUX_W_M2) / FLUX_W_M2).abs().max() < 2e-5


def test_the_top_has_the_skin_temperature() -> None:
    top = grey_columns(SURFACE_K, FLUX_W_M2, torch.tensor([1e-4], dtype=DOUBLE)).temperature_k[:, 0]
    skin = (FLUX_W_M2 / (2.0 * STEFAN_BOLTZMANN_W_M2_K4)) ** 0.25
    # A depth of 4 * 1e-8 above raises the fourth power by that part.
    assert ((top - skin) / skin).abs().max() < 1e-7


def test_the_net_flux_is_that_to_space_above_the_tropopause_and_smaller_below() -> None:
    sigma = fine_sigma(21)
    columns = grey_columns(SURFACE_K, FLUX_W_M2, sigma)
    above = sigma < columns.tropopause_sigma[:, None]
    assert above.any(dim=1).all()
    net = net_infrared(SURFACE_K, FLUX_W_M2, sigma) / FLUX_W_M2[:, None]
    assert (net[above] - 1.0).abs().max() < 1e-6
    # Next to the tropopause the loss is of second order in the distance, and drowns in the table's rounding.
    assert (net[sigma > 1.05 * columns.tropopause_sigma[:, None]] < 1.0).all()
    assert (net.diff(dim=1) > -1e-6).all()  # each layer of the troposphere loses heat, which convection brings


def test_below_the_tropopause_air_follows_the_critical_lapse_rate_and_above_it_is_more_stable() -> None:
    sigma = fine_sigma(2001)
    columns = grey_columns(SURFACE_K, FLUX_W_M2, sigma)
    slope = columns.temperature_k.log().diff(dim=1) / sigma.log().diff()
    middle = 0.5 * (sigma[1:] + sigma[:-1])
    below = middle > columns.tropopause_sigma[:, None] + 1e-3
    above = middle < columns.tropopause_sigma[:, None] - 1e-3
    assert (slope[below] - ADIABAT_EXPONENT).abs().max() < 1e-9
    assert slope[above].max() < ADIABAT_EXPONENT
    assert torch.equal(columns.temperature_k[:, 0], SURFACE_K)


def test_temperature_is_continuous_at_the_tropopause() -> None:
    sigma = fine_sigma()
    temperature = grey_columns(SURFACE_K, FLUX_W_M2, sigma).temperature_k
    # Half the largest step of the adiabat within 0.05 of sigma, so that a jump of a hundredth of a kelvin shows.
    stratosphere = temperature[:, sigma < 0.5]
    assert stratosphere.diff(dim=1).abs().max() < 0.05


def test_earth_has_its_tropopause_between_100_and_300_hectopascal() -> None:
    columns = grey_columns(torch.tensor([288.0]), torch.tensor([234.0]), equal_mass_levels(8))
    assert 0.1 < float(columns.tropopause_sigma) < 0.3
    assert 205 < float(columns.temperature_k[0, -1]) < 225


def test_an_almost_transparent_column_lets_the_surface_emit_to_space() -> None:
    emitted = STEFAN_BOLTZMANN_W_M2_K4 * 280.0**4
    columns = grey_columns(torch.tensor([280.0]), torch.tensor([0.999 * emitted]), equal_mass_levels(4))
    assert float(columns.surface_depth) < 0.01


@pytest.mark.parametrize("flux", [400.0, 1.0, float("nan")])
def test_a_flux_that_no_column_lets_through_is_an_error(flux: float) -> None:
    with pytest.raises(
        ValueError, match=r"the flux to space over that emitted by the surface must be in \[0\.066, 1\.0"
    ):
        grey_columns(torch.tensor([288.0]), torch.tensor([flux]), equal_mass_levels(4))


def test_levels_outside_the_air_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"sigma must be in \(0, 1\]"):
        grey_columns(SURFACE_K, FLUX_W_M2, torch.tensor([0.5, 0.0]))
    with pytest.raises(ValueError, match="num_levels must be at least 1"):
        equal_mass_levels(0)


def test_levels_are_the_middles_of_layers_of_equal_mass() -> None:
    assert torch.equal(equal_mass_levels(4), torch.tensor([0.875, 0.625, 0.375, 0.125], dtype=DOUBLE))


@pytest.mark.parametrize(("celsius", "pascal"), [(0.0, 611.2), (20.0, 2339.0), (-20.0, 125.4)])
def test_saturation_pressure_is_that_of_the_steam_tables_to_two_percent(celsius: float, pascal: float) -> None:
    # A constant heat of vaporisation is off by 2.5 % at 20 C, which the exponent turns into 1 %.
    computed = float(saturation_pressure(torch.tensor(celsius + 273.15, dtype=DOUBLE)))
    assert abs(computed / pascal - 1.0) < 0.02


def test_vapour_is_the_stated_share_of_saturation() -> None:
    sigma = torch.tensor([1.0, 0.51], dtype=DOUBLE)
    temperature = torch.tensor([288.0, 260.0], dtype=DOUBLE)
    humidity = specific_humidity(temperature, sigma)
    molar_masses = 287.05 / 461.5
    vapour = humidity * 101_325.0 * sigma / (molar_masses + humidity * (1.0 - molar_masses))
    expected = torch.tensor([0.77, 0.385], dtype=DOUBLE) * saturation_pressure(temperature)
    assert ((vapour - expected) / expected).abs().max() < 1e-12


def test_air_where_the_law_for_humidity_fails_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"holds below sigma = 0\.02"):
        specific_humidity(torch.tensor([200.0]), torch.tensor([0.01]))
    with pytest.raises(ValueError, match=r"air at 400\.0 K holds more vapour than its pressure allows"):
        specific_humidity(torch.tensor([400.0]), torch.tensor([0.9]))


def test_the_net_flux_at_the_ground_is_what_the_ground_emits_less_what_the_air_sends_down() -> None:
    # An independent way: the downward flux as the sum over layers, as in the test of the flux to space.
    sigma = fine_sigma()
    columns = grey_columns(SURFACE_K, FLUX_W_M2, sigma)
    depth = columns.surface_depth[:, None] * sigma**2
    source = STEFAN_BOLTZMANN_W_M2_K4 * columns.temperature_k**4
    transmission = (depth - depth[:, :1]).exp()  # to the ground
    downward = -(0.5 * (source[:, 1:] + source[:, :-1]) * transmission.diff(dim=1)).sum(dim=1)
    expected = STEFAN_BOLTZMANN_W_M2_K4 * SURFACE_K**4 - downward
    net = net_infrared(SURFACE_K, FLUX_W_M2, torch.ones(1, dtype=DOUBLE))[:, 0]
    # The ground's flux is left of larger ones, up to 600 W/m2, which hold to 2e-5 each.
    assert (net - expected).abs().max() < 4e-5 * 600
