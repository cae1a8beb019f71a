"""Continents drawn at random.

A height is the sum of plane waves through the sphere with random directions and phases, which favours no place. The
variance falls with the square of the wave number, as that of the topography of Earth, Venus and Mars does with the
degree (Turcotte 1987, J. Geophys. Res. 92, E597). The highest cells are land.
"""

import math

import torch
from torch import Tensor

from astrobio.data.insolation import sine_latitude_edges

_WAVE_NUMBERS = torch.arange(1, 7, dtype=torch.float64)  # shorter waves than a sixth of the girth are not resolved
_WAVES_PER_NUMBER = 4


def sample_land(
    land_fraction: Tensor, generator: torch.Generator, *, num_latitudes: int, num_longitudes: int
) -> Tensor:
    """Land of one planet for every fraction; cells have equal area, latitudes run from south to north.

    Args:
        land_fraction: (B,), of the surface, in [0, 1].
        generator: of the directions and phases, on the CPU.
        num_latitudes: cells of equal area from pole to pole.
        num_longitudes: cells around the planet.

    Returns:
        bool, (B, latitude, longitude), True on land; the number of land cells is the rounded share of all cells.

    Raises:
        ValueError: a fraction outside [0, 1], or an empty grid.
    """
    if num_latitudes < 1 or num_longitudes < 1:
        raise ValueError(f"need at least one cell, got {num_latitudes} latitudes and {num_longitudes} longitudes")
    if not ((land_fraction >= 0) & (land_fraction <= 1)).all():
        raise ValueError(f"land fractions must be in [0, 1], got {land_fraction.tolist()}")
    num_planets, num_cells = len(land_fraction), num_latitudes * num_longitudes
    height = _random_height(num_planets, generator, num_latitudes, num_longitudes)
    rank = height.argsort(dim=1, descending=True).argsort(dim=1)
    num_land = (land_fraction.double() * num_cells).round()
    return (rank < num_land[:, None]).view(num_planets, num_latitudes, num_longitudes)


def cell_centres(num_latitudes: int, num_longitudes: int) -> tuple[Tensor, Tensor]:
    """(sine of latitude (latitude,), longitude in radians (longitude,)) of the middle of every cell, float64."""
    edges = sine_latitude_edges(num_latitudes, like=_WAVE_NUMBERS)
    longitude = (torch.arange(num_longitudes, dtype=torch.float64) + 0.5) * (2.0 * math.pi / num_longitudes)
    return 0.5 * (edges[1:] + edges[:-1]), longitude


def _random_height(num_planets: int, generator: torch.Generator, num_latitudes: int, num_longitudes: int) -> Tensor:
    sin_latitude, longitude = cell_centres(num_latitudes, num_longitudes)
    cos_latitude = (1.0 - sin_latitude**2).sqrt()
    place = torch.stack(
        (
            cos_latitude[:, None] * longitude.cos(),
            cos_latitude[:, None] * longitude.sin(),
            sin_latitude[:, None].expand(-1, num_longitudes),
        )
    ).flatten(1)  # (3, cell), unit vectors
    wave_number = _WAVE_NUMBERS.repeat_interleave(_WAVES_PER_NUMBER)
    shape = (num_planets, len(wave_number), 3)
    direction = torch.nn.functional.normalize(torch.randn(shape, generator=generator, dtype=torch.float64), dim=-1)
    phase = 2.0 * math.pi * torch.rand(shape[:2], generator=generator, dtype=torch.float64)
    waves = (wave_number[:, None] * (direction @ place) + phase[..., None]).cos()  # (B, wave, cell)
    return (waves / wave_number[:, None]).sum(dim=1)
