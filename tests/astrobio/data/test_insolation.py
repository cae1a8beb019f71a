import math

import pytest
import torch
from torch import Tensor

from astrobio.data.insolation import cell_mean_insolation, daily_mean_insolation, orbit, sine_latitude_edges
from astrobio.data.planets import PARAMETER_NAMES, SOLAR_CONSTANT_W_M2, PlanetParameters, earth


def planet(**changes: float) -> PlanetParameters:
    table = earth().to_tensor()
    for name, value in changes.items():
        table[0, PARAMETER_NAMES.index(name)] = value
    return PlanetParameters.from_tensor(table)


def insolation(planets: PlanetParameters) -> Tensor:
    return cell_mean_insolation(planets, num_times=48, num_latitudes=24)


@pytest.mark.parametrize("eccentricity", [0.0, 0.0167, 0.3])
@pytest.mark.parametrize("obliquity_deg", [0.0, 23.4, 90.0])
def test_the_global_annual_mean_is_a_quarter_of_the_orbit_mean_flux(eccentricity: float, obliquity_deg: float) -> None:
    planets = planet(eccentricity=eccentricity, obliquity_deg=obliquity_deg)
    expected = SOLAR_CONSTANT_W_M2 / 4 / math.sqrt(1 - eccentricity**2)
    # Equal steps integrate the smooth, periodic 1/r^2 with an error of its 48th harmonic, below 1e-15 for e <= 0.3
    # (it decays as exp(-0.92 n)); 48 * 24 values are summed with at most as many roundings.
    assert abs(float(insolation(planets).mean()) / expected - 1) <= 48 * 24 * torch.finfo(torch.float64).eps


def test_the_daily_mean_equals_an_average_over_hour_angles() -> None:
    latitude = torch.deg2rad(torch.tensor([-90.0, -70.0, -23.0, 0.0, 45.0, 66.0, 80.0, 90.0], dtype=torch.float64))
    declination = torch.deg2rad(torch.tensor([-23.4, 0.0, 10.0, 60.0], dtype=torch.float64))[:, None, None]
    num_angles = 20_000
    hour_angle = (torch.arange(num_angles, dtype=torch.float64) + 0.5) * (2 * math.pi / num_angles)
    cos_zenith = (
        latitude.sin()[:, None] * declination.sin() + latitude.cos()[:, None] * declination.cos() * hour_angle.cos()
    )
    expected = cos_zenith.clamp(min=0.0).mean(dim=-1)
    actual = daily_mean_insolation(latitude.sin(), declination[:, 0].sin())
    # The midpoint rule errs by h^2 / 24 times the second derivative, at most 1, and by h^2 / 8 at sunrise and sunset.
    assert (actual - expected).abs().max() <= (2 * math.pi / num_angles) ** 2


def test_a_cell_mean_equals_the_average_of_daily_means_within_the_cell() -> None:
    planets = planet(obliquity_deg=50.0, eccentricity=0.2)
    points_per_cell = 2000
    num_points = 24 * points_per_cell
    x = (torch.arange(num_points, dtype=torch.float64) + 0.5) * (2 / num_points) - 1
    sin_declination, inverse_distance_squared = orbit(planets, num_times=48)
    daily = daily_mean_insolation(x, sin_declination.unsqueeze(-1)) * inverse_distance_squared.unsqueeze(-1)
    expected = SOLAR_CONSTANT_W_M2 * daily.view(1, 48, 24, points_per_cell).mean(dim=-1)
    # The daily mean has the edge of a circle in x where the sun touches the horizon, sqrt(c^2 - x^2): the midpoint
    # rule errs there by less than sqrt(2) h^1.5 of the integral over a cell of width 2 / 24.
    bound = SOLAR_CONSTANT_W_M2 * inverse_distance_squared.max() * math.sqrt(2) * (2 / num_points) ** 1.5 * 12
    assert (insolation(planets) - expected).abs().max() <= bound


def test_the_year_begins_at_the_northern_vernal_equinox() -> None:
    sin_declination, _ = orbit(
        planet(obliquity_deg=30.0, eccentricity=0.3, perihelion_longitude_deg=77.0), num_times=48
    )
    assert abs(float(sin_declination[0, 0])) <= 1e-14  # a few roundings of angles below 2 pi
    assert sin_declination[0, 1] > 0
    assert abs(float(sin_declination.max()) - 0.5) < 0.01


def test_earth_is_closest_to_the_sun_shortly_after_northern_winter_solstice() -> None:
    sin_declination, inverse_distance_squared = orbit(earth(), num_times=365)
    days_after_solstice = int(inverse_distance_squared.argmax()) - int(sin_declination.argmin())
    assert 10 <= days_after_solstice <= 16  # 21 December to 3 January is 13 days


def test_the_distance_follows_the_ellipse() -> None:
    _, inverse_distance_squared = orbit(planet(eccentricity=0.3), num_times=4800)
    distance = inverse_distance_squared.rsqrt()
    assert abs(float(distance.min()) - 0.7) < 1e-4
    assert abs(float(distance.max()) - 1.3) < 1e-4


@pytest.mark.parametrize(("obliquity_deg", "poles_get_more"), [(50.0, False), (58.0, True)])
def test_poles_outshine_the_equator_above_54_degrees_obliquity(obliquity_deg: float, poles_get_more: bool) -> None:
    # Ward 1974, J. Geophys. Res. 79: annual means at pole and equator are equal at 54 degrees.
    annual_mean = insolation(planet(obliquity_deg=obliquity_deg)).mean(dim=1)[0]
    assert bool(annual_mean[-1] > annual_mean[12]) is poles_get_more


def test_polar_night_is_dark_to_rounding() -> None:
    solstice = insolation(planet(obliquity_deg=40.0, eccentricity=0.0))[0, 12]
    # The cell at the south pole ends at 66 degrees. Its mean is a difference of integrals of order 1, over the width.
    assert abs(float(solstice[0])) <= SOLAR_CONSTANT_W_M2 * 12 * 4 * torch.finfo(torch.float64).eps
    assert solstice[-1] > 600  # polar day: 1361 W/m2 * sin(40 degrees) at the pole itself is 875


def test_edges_cut_the_sphere_into_equal_areas() -> None:
    edges = sine_latitude_edges(24, like=torch.zeros(1, dtype=torch.float64))
    assert edges[0] == -1
    assert edges[-1] == 1
    assert (edges.diff() - 2 / 24).abs().max() <= 4 * torch.finfo(torch.float64).eps


@pytest.mark.parametrize("obliquity_deg", [0.0, 23.4, 90.0])
def test_gradients_are_finite_where_the_sun_touches_the_horizon(obliquity_deg: float) -> None:
    table = planet(obliquity_deg=obliquity_deg, eccentricity=0.0).to_tensor().requires_grad_()
    insolation(PlanetParameters.from_tensor(table)).square().sum().backward()
    assert table.grad is not None
    assert table.grad.isfinite().all()
