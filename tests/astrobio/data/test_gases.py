import pytest
import torch

from astrobio.data.gases import BANDS, GASES, absorption_cross_sections, rayleigh_cross_section


def peak_near(gas: str, wavelength_um: float) -> float:
    """Where the cross-section of a gas is largest within a tenth of a wavelength, in micrometres."""
    grid = wavelength_um * torch.linspace(0.9, 1.1, 4001, dtype=torch.float64)
    return float(grid[absorption_cross_sections(grid)[GASES.index(gas)].argmax()])


@pytest.mark.parametrize(
    ("gas", "wavelength_um"),
    # Catling & Kasting 2017 and Schwieterman et al. 2018 name these as the bands to look for.
    [
        *(("O2", 0.76), ("O2", 1.27), ("O3", 9.6), ("O3", 0.6), ("CH4", 3.3), ("CH4", 7.7)),
        *(("CO2", 4.3), ("CO2", 15.0), ("H2O", 1.4), ("H2O", 6.3)),
    ],
)
def test_the_main_bands_are_where_they_are_known_to_be(gas: str, wavelength_um: float) -> None:
    assert peak_near(gas, wavelength_um) == pytest.approx(wavelength_um, rel=0.02)


@pytest.mark.parametrize("gas", GASES)
def test_the_integral_over_wavenumber_is_the_sum_of_the_intensities(gas: str) -> None:
    wavenumber = torch.arange(200.0, 40_000.0, 1.0, dtype=torch.float64)
    cross_section = absorption_cross_sections(1e4 / wavenumber)[GASES.index(gas)]
    intensity = sum(band.intensity_cm for band in BANDS if band.gas == gas)
    assert float(torch.trapezoid(cross_section, wavenumber)) == pytest.approx(intensity, rel=1e-6)


def test_every_gas_has_bands_within_the_spectrum() -> None:
    assert {band.gas for band in BANDS} == set(GASES)
    assert all(0.5 < band.wavelength_um < 16.0 for band in BANDS)


def test_rayleigh_scattering_falls_with_the_fourth_power() -> None:
    half, whole = rayleigh_cross_section(torch.tensor([0.266, 0.532], dtype=torch.float64))
    assert float(whole) == pytest.approx(5.1e-27)
    assert float(half / whole) == pytest.approx(16.0)
