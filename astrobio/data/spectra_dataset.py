"""Transiting planets drawn at random, their spectra, and the noise of a measurement."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.data.gases import GASES
from astrobio.data.transmission import PROPERTY_NAMES, SURFACE_PRESSURE_PA, TransitingPlanets, transit_depth

# name -> (low, high), drawn uniformly: temperate rocky planets of red dwarfs, whose atmospheres show most.
PROPERTY_RANGES: dict[str, tuple[float, float]] = {
    "radius_earth": (0.8, 1.6),
    "gravity_m_s2": (5.0, 20.0),
    "temperature_k": (220.0, 400.0),
    "star_radius_sun": (0.1, 0.3),
}
# gas -> (low, high) of the decimal logarithm of its mixing ratio, drawn uniformly. They are wide enough that near
# the low end the weaker bands of a gas sink into Rayleigh scattering and noise, and its strongest often do not.
LOG10_ABUNDANCE_RANGES: dict[str, tuple[float, float]] = {
    "H2O": (-6.0, -1.5),
    "CO2": (-6.0, -1.0),
    "CH4": (-6.5, -2.0),
    "O3": (-7.5, -5.0),
    "O2": (-2.5, -0.5),
}
# The top of the clouds, drawn uniformly in the logarithm of its pressure; nobody knows it.
CLOUD_TOP_RANGE_PA = (1.0e3, SURFACE_PRESSURE_PA)
# Standard deviation of the noise of one bin in parts per million, drawn uniformly in its logarithm.
NOISE_RANGE_PPM = (1.0, 10.0)


@dataclass(frozen=True, eq=False)
class SpectraDataset:
    """Planets with their spectra.

    Attributes:
        planets: what the spectra depend on, float64.
        depth: (B, wavelengths) float64, transit depth without noise.
    """

    planets: TransitingPlanets
    depth: Tensor

    def __len__(self) -> int:
        """The number of planets."""
        return len(self.planets)

    def __getitem__(self, planets: Tensor) -> "SpectraDataset":
        """The planets at these indices, an integer tensor (n,)."""
        return SpectraDataset(self.planets[planets], self.depth[planets])


@dataclass(frozen=True, eq=False)
class MeasuredSpectra:
    """Spectra as an instrument gives them.

    Attributes:
        depth: (B, wavelengths) float32, transit depth with noise.
        noise: (B, 1) float32, the standard deviation of the noise of every bin.
    """

    depth: Tensor
    noise: Tensor


def sample_transiting_planets(num_planets: int, generator: torch.Generator) -> TransitingPlanets:
    """Planets drawn independently from the ranges above, float64 on the generator's device.

    Raises:
        ValueError: `num_planets` is below 1.
    """
    if num_planets < 1:
        raise ValueError(f"num_planets must be at least 1, got {num_planets}")
    clouds = (math.log10(CLOUD_TOP_RANGE_PA[0]), math.log10(CLOUD_TOP_RANGE_PA[1]))
    ranges = [*(PROPERTY_RANGES[name] for name in PROPERTY_NAMES), clouds]
    ranges += [LOG10_ABUNDANCE_RANGES[gas] for gas in GASES]
    low, high = torch.tensor(ranges, dtype=torch.float64, device=generator.device).unbind(dim=1)
    unit = torch.rand(num_planets, len(ranges), generator=generator, dtype=torch.float64, device=generator.device)
    drawn = low + unit * (high - low)
    known, cloud, abundance = drawn.tensor_split((len(PROPERTY_NAMES), len(PROPERTY_NAMES) + 1), dim=1)
    cloud_top_pa = (10.0 ** cloud[:, 0]).clamp(max=SURFACE_PRESSURE_PA)
    radius, gravity, temperature, star = known.unbind(dim=1)
    return TransitingPlanets(radius, gravity, temperature, star, cloud_top_pa, abundance)


def make_spectra_dataset(num_planets: int, seed: int) -> SpectraDataset:
    """Random planets and their spectra; the same seed gives the same data set.

    Raises:
        ValueError: `num_planets` is below 1.
    """
    planets = sample_transiting_planets(num_planets, torch.Generator().manual_seed(seed))
    return SpectraDataset(planets, transit_depth(planets))


def measure(depth: Tensor, generator: torch.Generator) -> MeasuredSpectra:
    """Add white noise of a level drawn for each planet to (B, wavelengths) depths in float64."""
    low, high = NOISE_RANGE_PPM
    level = torch.rand(len(depth), 1, generator=generator, dtype=depth.dtype, device=depth.device)
    noise = 1e-6 * torch.exp(math.log(low) + level * math.log(high / low))
    drawn = torch.randn(depth.shape, generator=generator, dtype=depth.dtype, device=depth.device)
    return MeasuredSpectra(depth=(depth + noise * drawn).float(), noise=noise.float())
