"""Absorption bands of five gases between 0.5 and 16 micrometres, as Gaussians in wavenumber.

A band of intensity S (cm per molecule, the integral of its cross-section over wavenumber) and width w has the cross-
section S / (w sqrt(2 pi)) exp(-(nu - nu0)^2 / (2 w^2)). Centres are those of the bands' assignments (Herzberg 1945,
Infrared and Raman spectra; Catling & Kasting 2017, Atmospheric evolution on inhabited and lifeless worlds). Intensities
have one digit and are of the order of the sums over each band's lines in HITRAN (Gordon et al. 2022); single lines,
pressure broadening and hot bands are left out. That gives every gas its fingerprint at its real wavelengths with
realistic contrast; it is not meant for the retrieval of abundances from observations.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

GASES = ("H2O", "CO2", "CH4", "O3", "O2")
MOLAR_MASS_G_MOL = {"H2O": 18.015, "CO2": 44.010, "CH4": 16.043, "O3": 47.998, "O2": 31.998, "N2": 28.014}

# Rayleigh scattering of N2 at 532 nm: Sneep & Ubachs 2005, Direct measurement of the Rayleigh scattering cross section
# in various gases. It falls with the fourth power of the wavelength; their correction for dispersion is left out.
_RAYLEIGH_CM2, _RAYLEIGH_WAVELENGTH_UM = 5.1e-27, 0.532


@dataclass(frozen=True)
class Band:
    """One absorption band.

    Attributes:
        gas: which of `GASES` has it.
        wavelength_um: its centre in micrometres.
        intensity_cm: its intensity in cm per molecule.
        width_cm: the standard deviation of its shape in 1/cm.
    """

    gas: str
    wavelength_um: float
    intensity_cm: float
    width_cm: float


BANDS = (
    Band("H2O", 0.94, 2e-20, 150.0),
    Band("H2O", 1.13, 5e-20, 130.0),
    Band("H2O", 1.38, 8e-19, 130.0),
    Band("H2O", 1.87, 9e-19, 130.0),
    Band("H2O", 2.68, 8e-18, 130.0),
    Band("H2O", 6.27, 1e-17, 150.0),
    Band("CO2", 1.60, 5e-22, 50.0),
    Band("CO2", 2.01, 3e-20, 50.0),
    Band("CO2", 2.73, 2e-18, 50.0),
    Band("CO2", 4.26, 9e-17, 30.0),
    Band("CO2", 14.99, 8e-18, 40.0),
    Band("CH4", 1.66, 1e-20, 80.0),
    Band("CH4", 2.31, 3e-19, 120.0),
    Band("CH4", 3.31, 1e-17, 80.0),
    Band("CH4", 7.66, 5e-18, 60.0),
    Band("O3", 0.60, 2e-17, 1500.0),  # Chappuis: an electronic band, 5e-21 cm2 at its peak
    Band("O3", 4.74, 1e-18, 25.0),
    Band("O3", 9.60, 1e-17, 25.0),
    Band("O2", 0.688, 2e-23, 50.0),  # B
    Band("O2", 0.761, 2e-22, 50.0),  # A
    Band("O2", 1.268, 3e-24, 50.0),
)


def absorption_cross_sections(wavelength_um: Tensor) -> Tensor:
    """The absorption cross-section of one molecule of each gas, (gases, wavelengths) in cm2, ordered as `GASES`.

    Args:
        wavelength_um: (wavelengths,) in micrometres, above 0.
    """
    wavenumber = 1e4 / wavelength_um  # 1/cm
    total = torch.zeros(len(GASES), *wavelength_um.shape, dtype=wavelength_um.dtype, device=wavelength_um.device)
    for band in BANDS:
        distance = (wavenumber - 1e4 / band.wavelength_um) / band.width_cm
        peak = band.intensity_cm / (band.width_cm * math.sqrt(2.0 * math.pi))
        total[GASES.index(band.gas)] += peak * torch.exp(-0.5 * distance.square())
    return total


def rayleigh_cross_section(wavelength_um: Tensor) -> Tensor:
    """The scattering cross-section of one molecule of N2 in cm2, of the shape of `wavelength_um`."""
    return _RAYLEIGH_CM2 * (_RAYLEIGH_WAVELENGTH_UM / wavelength_um) ** 4
