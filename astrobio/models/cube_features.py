"""What the networks over climate cubes share: cubes scaled to order 1, and planets and seasons as their inputs."""

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from astrobio.data.climate_dataset import LOG_UNIFORM_PARAMETERS
from astrobio.data.cubes import (
    CUBE_SAMPLING_RANGES,
    CUBE_VARIABLES,
    MONTHS_PER_SEASON,
    NUM_CUBE_LATITUDES,
    NUM_CUBE_LONGITUDES,
    NUM_LEVELS,
    NUM_MONTHS,
    CubeDataset,
    climate_cubes,
    make_cube_dataset,
    monthly_insolation,
    season,
)
from astrobio.data.planets import SCALED_PARAMETERS, SOLAR_CONSTANT_W_M2, PlanetParameters
from astrobio.data.vertical import equal_mass_levels

CUBE_SHAPE = (len(CUBE_VARIABLES), MONTHS_PER_SEASON, NUM_LEVELS, NUM_CUBE_LATITUDES, NUM_CUBE_LONGITUDES)
"""Of one season: (variable, month, level, latitude, longitude)."""

CUBE_CARD_SHAPE = (
    f"(B, {', '.join(CUBE_VARIABLES)}; 3 months; 8 levels of equal mass from the ground up; "
    "12 latitudes of equal area from the south; 24 longitudes)"
)
PLANET_FEATURES = len(SCALED_PARAMETERS) + 4
"""Numbers that describe a planet and a season: the parameters, and two angles by sine and cosine."""

# Around a frozen winter and a hot summer of the data set, with CO2 in the middle of its range.
_REFERENCE_SURFACES_K = (225.0, 305.0)
_SMALLEST_HUMIDITY = 1e-12  # below the driest air of the data set, 4e-10


class CubeScaling(nn.Module):
    """Scales a cube to order 1 and back, humidity by its logarithm.

    The constants belong to the grey columns over a cold and a warm surface, so they need no data. They are buffers,
    and a state dict carries them.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, variables: tuple[str, ...] = CUBE_VARIABLES) -> None:
        """Compute the constants of these variables of a cube, in this order."""
        super().__init__()
        chosen = [CUBE_VARIABLES.index(name) for name in variables]
        self._is_logarithmic = [name == "specific_humidity" for name in variables]
        with torch.device("cpu"):  # where there are values even if the model is built on the meta device
            surfaces = torch.tensor(_REFERENCE_SURFACES_K, dtype=torch.float64).view(-1, 1, 1, 1).expand(-1, 12, 1, 1)
            co2 = torch.full((2,), math.prod(CUBE_SAMPLING_RANGES["co2_ppm"]) ** 0.5, dtype=torch.float64)
            cubes = climate_cubes(surfaces, co2)
        cubes = cubes.to(torch.get_default_device())
        columns = self._with_logarithms(cubes[:, chosen, :1])  # (2, variable, 1, level, 1, 1)
        # Those of a uniform distribution between the two.
        self.register_buffer("centre", columns.mean(dim=0))
        self.register_buffer("scale", (columns[1] - columns[0]) / math.sqrt(12))

    def to_unit(self, cube: Tensor) -> Tensor:
        """(B, variable, month, level, latitude, longitude) in physical units to the same shape, of order 1."""
        return (self._with_logarithms(cube) - self.centre) / self.scale

    def to_physical(self, unit: Tensor) -> Tensor:
        """The inverse of `to_unit`, in float32 for a half type."""
        unit = unit.to(torch.promote_types(unit.dtype, torch.float32))
        values = (self.centre + self.scale * unit).unbind(dim=1)
        pairs = zip(values, self._is_logarithmic, strict=True)
        return torch.stack([value.exp() if logarithmic else value for value, logarithmic in pairs], dim=1)

    def _with_logarithms(self, cube: Tensor) -> Tensor:
        values = cube.to(torch.promote_types(cube.dtype, torch.float32)).unbind(dim=1)
        pairs = zip(values, self._is_logarithmic, strict=True)
        return torch.stack(
            [value.clamp(min=_SMALLEST_HUMIDITY).log() if logarithmic else value for value, logarithmic in pairs], dim=1
        )


class SeasonFeatures(nn.Module):
    """Planet parameters and the season as a vector, and as fields of the insolation over consecutive months."""

    parameter_centre: Tensor
    parameter_half_range: Tensor
    insolation_scale: Tensor
    sigma: Tensor

    def __init__(self, *, num_months: int) -> None:
        """Prepare features of `num_months` consecutive months."""
        super().__init__()
        self.num_months = num_months
        low, high = torch.tensor([CUBE_SAMPLING_RANGES[name] for name in SCALED_PARAMETERS]).T
        low, high = _transformed(low), _transformed(high)
        self.register_buffer("parameter_centre", (low + high) / 2)
        self.register_buffer("parameter_half_range", (high - low) / 2)
        mean_instellation = sum(CUBE_SAMPLING_RANGES["instellation"]) / 2
        self.register_buffer("insolation_scale", torch.tensor(SOLAR_CONSTANT_W_M2 / 4 * mean_instellation))
        self.register_buffer("sigma", equal_mass_levels(NUM_LEVELS).float())

    @property
    def num_fields(self) -> int:
        """Channels of `fields`."""
        return self.num_months + 3

    def vector(self, planet_parameters: Tensor, first_month: Tensor) -> Tensor:
        """(B, 7) and (B,) int64 to (B, PLANET_FEATURES), of order 1."""
        planets = self._planets(planet_parameters)
        columns = torch.stack([getattr(planets, name) for name in SCALED_PARAMETERS], dim=1)
        scaled = (_transformed(columns) - self.parameter_centre) / self.parameter_half_range
        angles = torch.stack(
            (torch.deg2rad(planets.perihelion_longitude_deg), first_month % NUM_MONTHS * (2.0 * math.pi / NUM_MONTHS)),
            dim=1,
        )
        return torch.cat((scaled, angles.sin(), angles.cos()), dim=1)

    def fields(self, planet_parameters: Tensor, first_month: Tensor) -> Tensor:
        """(B, num_fields, level, latitude, longitude): monthly insolation, latitude, its square and pressure."""
        insolation = monthly_insolation(self._planets(planet_parameters)) / self.insolation_scale - 1.0
        months = (first_month[:, None] + torch.arange(self.num_months, device=first_month.device)) % NUM_MONTHS
        insolation = insolation.gather(1, months[..., None].expand(-1, -1, NUM_CUBE_LATITUDES))
        cells = torch.arange(NUM_CUBE_LATITUDES, dtype=insolation.dtype, device=insolation.device)
        sin_latitude = (cells + 0.5) * (2.0 / NUM_CUBE_LATITUDES) - 1.0
        batch, shape = len(insolation), (NUM_LEVELS, NUM_CUBE_LATITUDES, NUM_CUBE_LONGITUDES)
        along_latitude = torch.cat(
            (insolation, torch.stack((sin_latitude, 2.0 * sin_latitude**2 - 1.0)).expand(batch, -1, -1)), dim=1
        )
        pressure = (2.0 * self.sigma - 1.0)[None, None, :, None, None].expand(batch, 1, *shape)
        return torch.cat((along_latitude[:, :, None, :, None].expand(-1, -1, *shape), pressure), dim=1)

    def _planets(self, planet_parameters: Tensor) -> PlanetParameters:
        return PlanetParameters.from_tensor(
            planet_parameters.to(torch.promote_types(planet_parameters.dtype, torch.float32))
        )


def check_seasons(cube: Tensor, planet_parameters: Tensor, first_month: Tensor, *, num_variables: int) -> None:
    """Refuse cubes of another shape, and planets or months that do not belong to them.

    Raises:
        TypeError: the months are not int64.
        ValueError: a shape does not fit.
    """
    expected = (num_variables, *CUBE_SHAPE[1:])
    if cube.dim() != 6 or tuple(cube.shape[1:]) != expected:
        raise ValueError(
            f"cubes must be (B, variable, month, level, latitude, longitude) with {expected} after B, "
            f"got {tuple(cube.shape)}"
        )
    if first_month.dtype != torch.int64:
        raise TypeError(f"first_month must be int64, got {first_month.dtype}")
    if first_month.shape != cube.shape[:1] or planet_parameters.shape[:1] != cube.shape[:1]:
        raise ValueError(
            f"{len(cube)} cubes need as many planets and months, got planet_parameters "
            f"{tuple(planet_parameters.shape)} and first_month {tuple(first_month.shape)}"
        )


@lru_cache(maxsize=1)
def example_planets() -> CubeDataset:
    """A few simulated planets, for samples of inputs; not for learning."""
    return make_cube_dataset(4, seed=0)


def sample_season(batch_size: int, generator: torch.Generator) -> tuple[CubeDataset, Tensor, Tensor]:
    """(planets, seasons of theirs, first months (B,)), drawn from `example_planets`."""
    planets = example_planets()
    chosen = planets[torch.randint(len(planets), (batch_size,), generator=generator)]
    first_month = torch.randint(NUM_MONTHS, (batch_size,), generator=generator)
    return chosen, season(chosen.cubes, first_month), first_month


def _transformed(columns: Tensor) -> Tensor:
    """(..., parameter) in the order of the scaled parameters; the logarithm where that is what was drawn evenly."""
    logarithmic = torch.tensor([name in LOG_UNIFORM_PARAMETERS for name in SCALED_PARAMETERS], device=columns.device)
    return torch.where(logarithmic, columns.clamp(min=1e-30).log(), columns)
