"""Planets near the fold: where the warm climate of the energy-balance model ends and the planet freezes.

A fold is a saddle-node bifurcation. On its warm side a climate settles ever more slowly, and on its other side it
lingers where the warm climate was before it falls. So a planet near it is one that has not settled after a number of
iterations, and a coarse copy of the model, without the slow march through years, is enough to find it.
"""

import hashlib
import math

import torch
from torch import Tensor

from astrobio.data.climate_dataset import ClimateDataset, sample_planets
from astrobio.data.energy_balance import (
    INFRARED_SLOPE_W_M2_K,
    OPEN_ALBEDO,
    SECONDS_PER_YEAR,
    WATER_HEAT_CAPACITY_J_M3_K,
    albedo,
    outgoing_infrared,
    simulate_where_settled,
    transport_modes,
)
from astrobio.data.insolation import cell_mean_insolation
from astrobio.data.planets import PlanetParameters

_COARSE_TIMES, _COARSE_LATITUDES = 12, 12
_ITERATIONS = 20
# Mean change in the last iteration above which a planet counts as near the fold: of planets drawn from the sampling
# ranges 5 %, of which two in five freeze. More iterations or a larger change leave mostly planets of one side.
_UNSETTLED_K = 0.005
_MAX_YEARS = 1000  # the few planets that drift for longer cost most of the time of a simulation
_CANDIDATES = 4096


@torch.no_grad()
def coarse_drift(planets: PlanetParameters) -> Tensor:
    """By how much a coarse energy-balance model, started ice-free, still changes after a fixed number of iterations.

    An iteration takes the albedo at the last cycle and solves for the cycle that repeats with it. With the albedo
    given the model is linear, so a Fourier series in time and the modes of the transport turn that into a division.

    Returns:
        (B,), mean over the cells of the change in the last iteration, K.
    """
    insolation = cell_mean_insolation(planets, num_times=_COARSE_TIMES, num_latitudes=_COARSE_LATITUDES)
    eigenvalues, modes = (each.to(insolation.dtype) for each in transport_modes(_COARSE_LATITUDES))
    damping = INFRARED_SLOPE_W_M2_K - planets.diffusivity[:, None] * eigenvalues
    capacity = WATER_HEAT_CAPACITY_J_M3_K * planets.mixed_layer_depth_m / SECONDS_PER_YEAR
    frequency = 2.0 * math.pi * torch.arange(_COARSE_TIMES // 2 + 1, dtype=insolation.dtype)
    response = 1.0 / (damping[:, None, :] + 1j * capacity[:, None, None] * frequency[None, :, None])
    constant_infrared = outgoing_infrared(torch.zeros_like(planets.co2_ppm), planets.co2_ppm)[:, None, None]
    temperature = previous = torch.zeros_like(insolation)
    reflected: Tensor | float = OPEN_ALBEDO
    for _ in range(_ITERATIONS):
        previous = temperature
        forcing = insolation * (1 - reflected) - constant_infrared
        spectrum = torch.fft.rfft(forcing @ modes, dim=1) * response
        temperature = torch.fft.irfft(spectrum, n=_COARSE_TIMES, dim=1) @ modes.T
        reflected = albedo(temperature)
    return (temperature - previous).abs().mean(dim=(1, 2))


def sample_planets_near_fold(num_planets: int, generator: torch.Generator) -> PlanetParameters:
    """Planets drawn as in `sample_planets`, of which only those near the fold are kept; in float64 on the CPU.

    Raises:
        ValueError: `num_planets` is below 1.
    """
    if num_planets < 1:
        raise ValueError(f"num_planets must be at least 1, got {num_planets}")
    kept: list[Tensor] = []
    while sum(len(table) for table in kept) < num_planets:
        table = sample_planets(_CANDIDATES, generator).to_tensor()
        kept.append(table[coarse_drift(PlanetParameters.from_tensor(table)) > _UNSETTLED_K])
    return PlanetParameters.from_tensor(torch.cat(kept)[:num_planets])


def make_fold_dataset(num_planets: int, seed: int) -> ClimateDataset:
    """Random planets near the fold and their warm-start climates; the same seed gives the same data set.

    Planets that need more than 1,000 years to settle are replaced by others. The planets have nothing in common with
    those of `make_climate_dataset`, whatever the two seeds.

    Raises:
        ValueError: `num_planets` is below 1.
    """
    # Hashed: a generator seeded with the number itself would draw the planets of `make_climate_dataset` again.
    digest = hashlib.sha256(f"fold/{seed}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) % 2**63)
    parameters: list[Tensor] = []
    temperature: list[Tensor] = []
    missing = num_planets
    while missing > 0 or not parameters:
        planets = sample_planets_near_fold(missing, generator)
        settled, cycle = simulate_where_settled(planets, max_years=_MAX_YEARS)
        parameters.append(planets.to_tensor()[settled])
        temperature.append(cycle.temperature_k)
        missing -= len(settled)
    return ClimateDataset(parameters=torch.cat(parameters), temperature_k=torch.cat(temperature))
