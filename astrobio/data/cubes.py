"""Climate cubes: air temperature, humidity and infrared flux by month, level, latitude and longitude.

The surface follows the energy-balance model with continents (`astrobio.data.surface`); above each cell stands the
grey radiative-convective column (`astrobio.data.vertical`) that lets the same infrared flux through to space.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.data.climate_dataset import SAMPLING_RANGES, sample_planets
from astrobio.data.energy_balance import NUM_TIMES, outgoing_infrared
from astrobio.data.insolation import cell_mean_insolation
from astrobio.data.land import sample_land
from astrobio.data.planets import PlanetParameters
from astrobio.data.surface import simulate_surface
from astrobio.data.vertical import equal_mass_levels, grey_columns, net_infrared, specific_humidity

CUBE_VARIABLES = ("air_temperature_k", "specific_humidity", "net_infrared_w_m2")
"""The variables of a cube, in its order: K, kg of vapour per kg of air, W/m2 upward."""

NUM_MONTHS = 12
NUM_LEVELS = 8
NUM_CUBE_LATITUDES = 12
NUM_CUBE_LONGITUDES = 24
MONTHS_PER_SEASON = 3

# Narrower than `SAMPLING_RANGES` where land would leave the range of the model: under a high summer sun the linear
# infrared law lets it warm beyond the boiling point of water.
CUBE_SAMPLING_RANGES: dict[str, tuple[float, float]] = {
    **SAMPLING_RANGES,
    "instellation": (0.80, 1.05),
    "obliquity_deg": (0.0, 30.0),
    "eccentricity": (0.0, 0.10),
    "diffusivity": (0.4, 1.2),
}
LAND_FRACTION_RANGE = (0.0, 0.6)


@dataclass(frozen=True, eq=False)
class CubeDataset:
    """Planets with their continents and a year of their climate.

    Attributes:
        parameters: (B, 7), float64, columns `PARAMETER_NAMES`.
        land: (B, latitude, longitude), bool, True on land.
        cubes: (B, variable, month, level, latitude, longitude), float32; variables `CUBE_VARIABLES`, months from the
            northern vernal equinox, levels of equal mass from the ground up, latitudes of equal area from the south.
    """

    parameters: Tensor
    land: Tensor
    cubes: Tensor

    def __len__(self) -> int:
        """The number of planets."""
        return len(self.parameters)

    def __getitem__(self, planets: Tensor) -> "CubeDataset":
        """The planets at these indices, an integer tensor (n,)."""
        return CubeDataset(parameters=self.parameters[planets], land=self.land[planets], cubes=self.cubes[planets])


def make_cube_dataset(num_planets: int, seed: int) -> CubeDataset:
    """Random planets, their continents and their warm-start climates; the same seed gives the same data set.

    Raises:
        ValueError: `num_planets` is below 1.
        RuntimeError: a climate does not settle; see `simulate_surface`.
    """
    generator = torch.Generator().manual_seed(seed)
    return simulate_cubes(sample_planets(num_planets, generator, CUBE_SAMPLING_RANGES), generator)


def simulate_cubes(planets: PlanetParameters, generator: torch.Generator) -> CubeDataset:
    """These planets with continents drawn at random, and their warm-start climates.

    Raises:
        ValueError: a parameter is not physical.
        RuntimeError: a climate does not settle; see `simulate_surface`.
    """
    num_planets = len(planets.instellation)
    low, high = LAND_FRACTION_RANGE
    land_fraction = low + (high - low) * torch.rand(num_planets, generator=generator, dtype=torch.float64)
    land = sample_land(land_fraction, generator, num_latitudes=NUM_CUBE_LATITUDES, num_longitudes=NUM_CUBE_LONGITUDES)
    surface_k = simulate_surface(planets, land).temperature_k
    return CubeDataset(parameters=planets.to_tensor(), land=land, cubes=climate_cubes(surface_k, planets.co2_ppm))


def climate_cubes(surface_temperature_k: Tensor, co2_ppm: Tensor, *, num_levels: int = NUM_LEVELS) -> Tensor:
    """The air above a surface, by month.

    Args:
        surface_temperature_k: (B, time, latitude, longitude), K; the times of a year, a multiple of 12.
        co2_ppm: (B,), parts per million.
        num_levels: layers of equal mass.

    Returns:
        (B, variable, month, level, latitude, longitude), float32, variables `CUBE_VARIABLES`.

    Raises:
        ValueError: the times are not a multiple of 12, or a surface is outside the range of `grey_columns`.
    """
    monthly = monthly_means(surface_temperature_k)
    sigma = equal_mass_levels(num_levels)
    outgoing = outgoing_infrared(monthly, co2_ppm[:, None, None, None])
    air_k = grey_columns(monthly, outgoing, sigma).temperature_k
    cubes = torch.stack((air_k, specific_humidity(air_k, sigma), net_infrared(monthly, outgoing, sigma)), dim=1)
    return cubes.movedim(-1, 3).float().contiguous()  # (B, variable, month, latitude, longitude, level) before


def monthly_means(values: Tensor) -> Tensor:
    """(B, time, ...) to (B, 12, ...), months from the northern vernal equinox.

    Raises:
        ValueError: the times are not a multiple of 12.
    """
    if values.shape[1] % NUM_MONTHS:
        raise ValueError(
            f"a year must have a multiple of {NUM_MONTHS} times to be averaged by month, got {values.shape[1]}"
        )
    by_month = values.reshape(len(values), NUM_MONTHS, -1, *values.shape[2:])
    return by_month.mean(dim=2)


def monthly_insolation(planets: PlanetParameters, *, num_latitudes: int = NUM_CUBE_LATITUDES) -> Tensor:
    """The mean insolation of every month: (B, 12, latitude) in W/m2."""
    return monthly_means(cell_mean_insolation(planets, num_times=NUM_TIMES, num_latitudes=num_latitudes))


def season(cubes: Tensor, first_month: Tensor) -> Tensor:
    """Three consecutive months of every planet, beginning with its own and going on into the next year.

    Args:
        cubes: (B, variable, month, ...), or (B, month, ...) of one variable with a dimension of 1 inserted.
        first_month: (B,), int64, any value; months are counted modulo 12.

    Returns:
        (B, variable, 3, ...).
    """
    months = (first_month[:, None] + torch.arange(MONTHS_PER_SEASON, device=first_month.device)) % NUM_MONTHS
    return torch.stack([cube[:, of_planet] for cube, of_planet in zip(cubes, months, strict=True)])
