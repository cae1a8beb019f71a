"""Planets drawn at random and their climates, computed with the energy-balance model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from astrobio.data.energy_balance import simulate_climate
from astrobio.data.planets import PARAMETER_NAMES, PlanetParameters

# name -> (low, high). Drawn uniformly, CO2 uniformly in its logarithm. Instellation spans Earth-like planets from
# the frozen to the ice-free; the log law for CO2 forcing is used up to 10,000 ppm, ten times the range of its fit.
SAMPLING_RANGES: dict[str, tuple[float, float]] = {
    "instellation": (0.80, 1.15),
    "obliquity_deg": (0.0, 60.0),
    "eccentricity": (0.0, 0.30),
    "perihelion_longitude_deg": (0.0, 360.0),
    "co2_ppm": (100.0, 10_000.0),
    "diffusivity": (0.2, 1.2),
    "mixed_layer_depth_m": (20.0, 100.0),
}
LOG_UNIFORM_PARAMETERS = frozenset({"co2_ppm"})


@dataclass(frozen=True, eq=False)
class ClimateDataset:
    """Planets with their seasonal cycles.

    Attributes:
        parameters: (B, 7), float64, columns `PARAMETER_NAMES`.
        temperature_k: (B, time, latitude), float64.
    """

    parameters: Tensor
    temperature_k: Tensor

    def __len__(self) -> int:
        """The number of planets."""
        return len(self.parameters)

    def __getitem__(self, planets: Tensor) -> "ClimateDataset":
        """The planets at these indices, an integer tensor (n,)."""
        return ClimateDataset(parameters=self.parameters[planets], temperature_k=self.temperature_k[planets])


def sample_planets(
    num_planets: int, generator: torch.Generator, ranges: Mapping[str, tuple[float, float]] = SAMPLING_RANGES
) -> PlanetParameters:
    """Planets drawn independently from `ranges`, laid out as `SAMPLING_RANGES`, in float64 on the generator's device.

    Raises:
        ValueError: `num_planets` is below 1.
    """
    if num_planets < 1:
        raise ValueError(f"num_planets must be at least 1, got {num_planets}")
    shape = (num_planets, len(PARAMETER_NAMES))
    unit = torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)
    columns = [_from_unit_interval(name, unit[:, column], ranges[name]) for column, name in enumerate(PARAMETER_NAMES)]
    return PlanetParameters(*columns)


def make_climate_dataset(num_planets: int, seed: int) -> ClimateDataset:
    """Random planets and their warm-start climates; the same seed gives the same data set.

    Raises:
        ValueError: `num_planets` is below 1.
        RuntimeError: a climate does not settle; see `simulate_climate`.
    """
    planets = sample_planets(num_planets, torch.Generator().manual_seed(seed))
    return ClimateDataset(parameters=planets.to_tensor(), temperature_k=simulate_climate(planets).temperature_k)


class PlanetIndexed(Protocol):
    """A data set with one entry per planet."""

    def __len__(self) -> int:
        """The number of planets."""

    def __getitem__(self, planets: Tensor) -> Self:
        """The planets at these indices, an integer tensor (n,)."""


DatasetT = TypeVar("DatasetT", bound=PlanetIndexed)


def split_by_planet(dataset: DatasetT, *, held_out_fraction: float, seed: int) -> tuple[DatasetT, DatasetT]:
    """(training set, held-out set), with no planet in both.

    Raises:
        ValueError: one of the two would be empty.
    """
    num_held_out = round(len(dataset) * held_out_fraction)
    if not 0 < num_held_out < len(dataset):
        raise ValueError(f"holding out {held_out_fraction} of {len(dataset)} planets leaves one of the two sets empty")
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    return dataset[order[num_held_out:]], dataset[order[:num_held_out]]


def _from_unit_interval(name: str, unit: Tensor, between: tuple[float, float]) -> Tensor:
    low, high = between
    if name in LOG_UNIFORM_PARAMETERS:
        return torch.exp(math.log(low) + unit * math.log(high / low))
    return low + unit * (high - low)
