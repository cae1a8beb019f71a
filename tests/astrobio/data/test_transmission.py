from dataclasses import replace

import pytest
import torch
from torch import Tensor

from astrobio.data.spectra_dataset import sample_transiting_planets
from astrobio.data.transmission import (
    EARTH_RADIUS_M,
    NUM_WAVELENGTHS,
    SUN_RADIUS_M,
    SURFACE_PRESSURE_PA,
    TransitingPlanets,
    effective_height,
    grazing_optical_depth,
    height_from_depth,
    scale_height_m,
    transit_depth,
    wavelength_grid,
)


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def earth_like(**changes: Tensor) -> TransitingPlanets:
    planet = TransitingPlanets(
        radius_earth=double(1.0),
        gravity_m_s2=double(9.81),
        temperature_k=double(288.0),
        star_radius_sun=double(0.2),
        cloud_top_pa=double(SURFACE_PRESSURE_PA),
        log10_abundance=double(-3.0, -3.4, -5.7, -7.0, -0.68)[None],
    )
    return replace(planet, **changes)


def test_the_scale_height_of_air() -> None:
    """8.4 km at 288 K for the mean molar mass of 28.97 g/mol (U.S. Standard Atmosphere 1976)."""
    assert float(scale_height_m(earth_like())) == pytest.approx(8.4e3, rel=0.01)


def test_the_effective_height_against_its_integral() -> None:
    """Integral of 1 - exp(-tau e^(-z)) over z >= 0, by the trapezoidal rule."""
    tau = torch.logspace(-8, 8, 33, dtype=torch.float64)
    z = torch.linspace(0.0, 60.0, 200_001, dtype=torch.float64)
    expected = torch.trapezoid(-torch.expm1(-tau[:, None] * torch.exp(-z)), z)
    # Abramowitz & Stegun's own bound for the series, and the rule's error h^2/12 (f'(60) - f'(0)) below tau h^2 / 12.
    torch.testing.assert_close(effective_height(tau), expected, rtol=1e-6, atol=4e-7)


def test_a_transparent_atmosphere_shows_the_bare_planet() -> None:
    planets = earth_like(log10_abundance=torch.full((1, 5), -30.0, dtype=torch.float64))
    depth = transit_depth(planets, double(1e4))  # far beyond all bands and Rayleigh scattering
    bare = (EARTH_RADIUS_M / (0.2 * SUN_RADIUS_M)) ** 2
    assert float(depth) == pytest.approx(bare, rel=1e-9)


def test_an_opaque_cloud_raises_the_floor_by_its_height() -> None:
    clear = earth_like(log10_abundance=torch.full((1, 5), -30.0, dtype=torch.float64))
    cloudy = replace(clear, cloud_top_pa=double(SURFACE_PRESSURE_PA / torch.e))
    radius = [float(transit_depth(each, double(1e4)).sqrt()) * 0.2 * SUN_RADIUS_M for each in (clear, cloudy)]
    assert radius[1] - radius[0] == pytest.approx(float(scale_height_m(clear)), rel=1e-6)


def test_where_a_band_is_opaque_clouds_below_it_do_not_matter() -> None:
    wavelength = double(4.26)
    clear, cloudy = earth_like(), earth_like(cloud_top_pa=double(5e4))
    assert float(grazing_optical_depth(cloudy, wavelength)) > 100.0
    assert float(transit_depth(cloudy, wavelength)) == pytest.approx(float(transit_depth(clear, wavelength)), rel=1e-7)


def test_ten_times_the_gas_raises_an_opaque_band_by_a_known_height() -> None:
    more = earth_like()
    more.log10_abundance[0, 1] = -2.4
    wavelength = double(4.26)
    growth = float(
        effective_height(grazing_optical_depth(more, wavelength))
        - effective_height(grazing_optical_depth(earth_like(), wavelength))
    )
    # ln 10, but for the scale height, which shrinks a little, and the path with its square root.
    assert growth == pytest.approx(2.302585, rel=2e-3)


def test_heights_come_back_from_depths() -> None:
    planets = sample_transiting_planets(50, torch.Generator().manual_seed(0))
    planets.log10_abundance[:] = -12.0  # so that the mixture is N2
    depth = transit_depth(planets)
    height, factor = height_from_depth(depth, planets.properties)
    floor = torch.log(SURFACE_PRESSURE_PA / planets.cloud_top_pa)[:, None]
    expected = floor + effective_height(grazing_optical_depth(planets, wavelength_grid()))
    torch.testing.assert_close(height, expected, rtol=1e-8, atol=1e-8)
    nudged, _ = height_from_depth(depth + 1e-9, planets.properties)
    torch.testing.assert_close((nudged - height) / 1e-9, factor.expand_as(height), rtol=0.02, atol=0.0)


def test_the_grid_is_even_in_the_logarithm() -> None:
    grid = wavelength_grid()
    assert grid.shape == (NUM_WAVELENGTHS,)
    steps = grid.log().diff()
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))
    assert 0.5 < float(grid[0]) < float(grid[-1]) < 16.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature_k": double(-1.0)}, "temperature_k must be positive"),
        ({"radius_earth": double(float("nan"))}, "radius_earth must be positive and finite"),
        ({"cloud_top_pa": double(2e5)}, "must not exceed the 100000 Pa"),
        ({"log10_abundance": double(-0.1, -0.1, -3.0, -7.0, -1.0)[None]}, "add up to 1.69, which is more than 1"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transit_depth(earth_like(**change))


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"temperature_k must be \(B,\)"):
        earth_like(temperature_k=double(1.0, 2.0))
    with pytest.raises(ValueError, match=r"log10_abundance must be \(B, 5\)"):
        earth_like(log10_abundance=double(1.0, 2.0)[None])
