"""The seasonal energy-balance model over latitude and longitude, with continents (North, Mengel & Short 1983,
J. Geophys. Res. 88, 6576).

    C(x, l) dT/dt = S(t, x) (1 - albedo(T)) - F(T, CO2) + D [d/dx (1 - x^2) dT/dx + 1 / (1 - x^2) d^2T/dl^2]

with x = sin(latitude) and longitude l. All but C and the last term is that of `astrobio.data.energy_balance`: land and
sea differ in their heat capacity alone, that of the air column on land and that of the mixed layer at sea. Steps of
backward Euler and the albedo at a prediction that is exact once the year repeats are the same as well.

The cycle that repeats is a fixed point of marching through a year. Close to it the march is accelerated after Anderson
(Walker & Ni 2011, SIAM J. Numer. Anal. 49, 1715); far from it years are marched one by one, so that a planet reaches
the climate that its start leads to.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.data.energy_balance import (
    CONVERGED_K,
    INFRARED_SLOPE_W_M2_K,
    NUM_TIMES,
    SECONDS_PER_YEAR,
    WATER_HEAT_CAPACITY_J_M3_K,
    YearMarch,
    albedo,
    outgoing_infrared,
    simulate_climate,
    transport_convergence,
)
from astrobio.data.insolation import cell_mean_insolation
from astrobio.data.land import cell_centres
from astrobio.data.planets import PlanetParameters
from astrobio.data.vertical import DRY_AIR_HEAT_CAPACITY_J_KG_K, GRAVITY_M_S2, SURFACE_PRESSURE_PA

# The ground below exchanges little heat over a season. North et al. take half of the column, which is 5.2e6 J/m2/K.
LAND_HEAT_CAPACITY_J_M2_K = DRY_AIR_HEAT_CAPACITY_J_KG_K * SURFACE_PRESSURE_PA / GRAVITY_M_S2
MAX_YEARS = 5_000
_PLANETS_AT_ONCE = 16  # their inverse operators fit a processor's cache
_ACCELERATED_BELOW_K = 0.05  # change per year
_HISTORY = 4  # years that the acceleration looks back


@dataclass(frozen=True, eq=False)
class SurfaceCycle:
    """The seasonal cycle that repeats every year.

    Attributes:
        temperature_k: (B, time, latitude, longitude), at the end of each step; times as in `cell_mean_insolation`.
        years: (B,), int64, years marched until the cycle repeated.
    """

    temperature_k: Tensor
    years: Tensor


def heat_capacity(planets: PlanetParameters, land: Tensor) -> Tensor:
    """Heat capacity of every cell, J/m2/K: (B, latitude, longitude) like `land`, which is bool."""
    sea = WATER_HEAT_CAPACITY_J_M3_K * planets.mixed_layer_depth_m[:, None, None].double()
    return torch.where(land, torch.full_like(sea, LAND_HEAT_CAPACITY_J_M2_K), sea)


def surface_transport(temperature_k: Tensor, diffusivity: Tensor) -> Tensor:
    """Heat brought into each cell by diffusion, W/m2; its sum over the planet is zero to rounding.

    Args:
        temperature_k: (B, time, latitude, longitude).
        diffusivity: (B,), W/m2/K.
    """
    num_latitudes, num_longitudes = temperature_k.shape[-2:]
    sin_latitude, _ = cell_centres(num_latitudes, num_longitudes)
    # Longitudes are folded into the times of the zonal model.
    meridional = transport_convergence(temperature_k.transpose(-1, -2).flatten(1, 2), diffusivity)
    meridional = meridional.view(len(temperature_k), -1, num_longitudes, num_latitudes).transpose(-1, -2)
    curvature = temperature_k.roll(1, dims=-1) + temperature_k.roll(-1, dims=-1) - 2.0 * temperature_k
    zonal: Tensor = curvature / (1.0 - sin_latitude**2)[:, None] * (num_longitudes / (2.0 * math.pi)) ** 2
    return meridional + diffusivity[:, None, None, None] * zonal


def annual_surface_budget(temperature_k: Tensor, planets: PlanetParameters) -> Tensor:
    """The heat that each cell gains over a whole year; zero for a cycle that repeats.

    Args:
        temperature_k: (B, time, latitude, longitude).
        planets: B planets.

    Returns:
        (B, latitude, longitude), annual mean in W/m2; its mean over the planet is the global energy imbalance.
    """
    _, num_times, num_latitudes, _ = temperature_k.shape
    insolation = cell_mean_insolation(planets, num_times=num_times, num_latitudes=num_latitudes)
    absorbed = insolation.unsqueeze(-1) * (1 - albedo(temperature_k))
    emitted = outgoing_infrared(temperature_k, planets.co2_ppm[:, None, None, None])
    return (absorbed - emitted + surface_transport(temperature_k, planets.diffusivity)).mean(dim=1)


@torch.no_grad()
def simulate_surface(
    planets: PlanetParameters,
    land: Tensor,
    *,
    num_times: int = NUM_TIMES,
    initial_temperature_k: float = 288.0,
    max_years: int = MAX_YEARS,
) -> SurfaceCycle:
    """The repeating seasonal cycle of every planet, in float64 on the CPU.

    It is reached from the cycle of the same planet without land, which in turn starts at the initial temperature.

    Args:
        planets: B planets.
        land: bool, (B, latitude, longitude), True on land.
        num_times: steps per year.
        initial_temperature_k: decides between a warm and a frozen climate where both are stable.
        max_years: years after which a cycle has to repeat.

    Raises:
        TypeError: `land` is not bool.
        ValueError: `land` has another shape, or see `simulate_climate`.
        RuntimeError: a cycle does not repeat within `max_years`.
    """
    if land.dtype != torch.bool:
        raise TypeError(f"land must be bool, True on land, got {land.dtype}")
    if land.dim() != 3 or len(land) != len(planets.instellation):
        raise ValueError(
            f"land must be (B = {len(planets.instellation)}, latitude, longitude) like the planets, "
            f"got {tuple(land.shape)}"
        )
    if max_years < 1:
        raise ValueError(f"max_years must be at least 1, got {max_years}")
    table, land = planets.to_tensor().detach().double().cpu(), land.cpu()
    without_land = simulate_climate(
        PlanetParameters.from_tensor(table),
        num_times=num_times,
        num_latitudes=land.shape[1],
        initial_temperature_k=initial_temperature_k,
    ).temperature_k
    result, years = [], []
    for first in range(0, len(table), _PLANETS_AT_ONCE):
        chunk = slice(first, first + _PLANETS_AT_ONCE)
        march = _SurfaceMarch.prepare(PlanetParameters.from_tensor(table[chunk]), land[chunk], num_times)
        start = without_land[chunk].transpose(0, 1).unsqueeze(-1).expand(-1, -1, -1, land.shape[2]).flatten(2)
        cycle, needed = _repeating_cycle(march, start.contiguous(), max_years, first_planet=first)
        result.append(cycle)
        years.append(needed)
    temperature = torch.cat(result, dim=1).transpose(0, 1).contiguous()  # (B, time, cell)
    return SurfaceCycle(temperature_k=temperature.view(*temperature.shape[:2], *land.shape[1:]), years=torch.cat(years))


@dataclass(frozen=True, eq=False)
class _SurfaceMarch(YearMarch):
    """What marching a few planets through a year needs; latitude and longitude are one axis of cells.

    A step solves (C/dt + B - D L) T_new = C/dt T_old + absorbed - F_0, with the transport operator L and the constant
    part F_0 of the infrared flux. Its inverse is a matrix per planet, as C differs from cell to cell.
    """

    inverse: Tensor  # (B, cell, cell)

    @classmethod
    def prepare(cls, planets: PlanetParameters, land: Tensor, num_times: int) -> "_SurfaceMarch":
        num_cells = land[0].numel()
        insolation = cell_mean_insolation(planets, num_times=num_times, num_latitudes=land.shape[1])
        storage = heat_capacity(planets, land).flatten(1) * (num_times / SECONDS_PER_YEAR)
        unit = torch.eye(num_cells, dtype=torch.float64).view(1, num_cells, *land.shape[1:])
        transport = surface_transport(unit, torch.ones(1, dtype=torch.float64))[0].flatten(1)
        damping = torch.diag_embed(storage + INFRARED_SLOPE_W_M2_K)
        # Symmetric, as cells have equal area. torch.linalg.inv fails in MKL on batches of this size with two threads
        # ("Parameter 6 was incorrect on entry to DLASWP", torch 2.13).
        operator = damping - planets.diffusivity[:, None, None] * transport
        zero = torch.zeros(len(land), 1, dtype=torch.float64)
        return cls(
            insolation=insolation.transpose(0, 1).repeat_interleave(land.shape[2], dim=2),
            constant_infrared=outgoing_infrared(zero, planets.co2_ppm[:, None]),
            storage=storage,
            inverse=torch.cholesky_inverse(torch.linalg.cholesky(operator)),
        )

    def solve(self, forcing: Tensor, out: Tensor) -> None:
        """Write the temperatures after a step, (B, cell)."""
        torch.bmm(self.inverse, forcing.unsqueeze(-1), out=out.unsqueeze(-1))

    def only(self, keep: Tensor) -> "_SurfaceMarch":
        """The same for the planets that the bool mask keeps."""
        return _SurfaceMarch(
            insolation=self.insolation[:, keep],
            constant_infrared=self.constant_infrared[keep],
            storage=self.storage[keep],
            inverse=self.inverse[keep],
        )


def _repeating_cycle(
    march: _SurfaceMarch, cycle: Tensor, max_years: int, *, first_planet: int
) -> tuple[Tensor, Tensor]:
    """(the cycles that repeat (time, B, cell), years that each took (B,))."""
    result = torch.empty_like(cycle)
    years = torch.zeros(cycle.shape[1], dtype=torch.int64)
    active = torch.arange(cycle.shape[1])
    history: list[tuple[Tensor, Tensor]] = []  # of (year after, change over the year), oldest first
    change = torch.full((len(active),), math.inf, dtype=torch.float64)
    for year in range(1, max_years + 1):
        new_cycle = march.next_year(cycle)
        change = (new_cycle - cycle).abs().amax(dim=(0, 2))
        history = [*history[-_HISTORY:], (new_cycle, new_cycle - cycle)]
        done = change <= CONVERGED_K
        if done.any():
            result[:, active[done]], years[active[done]] = new_cycle[:, done], year
            if done.all():
                return result, years
            keep = ~done
            active, new_cycle, march, change = active[keep], new_cycle[:, keep], march.only(keep), change[keep]
            history = [(after[:, keep], step[:, keep]) for after, step in history]
        cycle = _extrapolated(history, change)
    raise RuntimeError(
        f"{len(active)} of {len(years)} planets do not repeat within {max_years} years; planet "
        f"{first_planet + int(active[0])} still changes by {float(change[0]):.2e} K per year"
    )


def _extrapolated(history: list[tuple[Tensor, Tensor]], change: Tensor) -> Tensor:
    """The start of the next year: the mix of the years in `history` with the smallest change, for slow planets."""
    newest, _ = history[-1]
    slow = change < _ACCELERATED_BELOW_K
    for _, step in history[:-1]:  # a history of faster years is one of a march towards another climate
        slow = slow & (step.abs().amax(dim=(0, 2)) < 4.0 * _ACCELERATED_BELOW_K)
    if len(history) < 2 or not slow.any():
        return newest
    steps = torch.stack(
        [step[:, slow].transpose(0, 1).flatten(1) for _, step in history], dim=-1
    )  # (slow, state, year)
    afters = torch.stack([after[:, slow].transpose(0, 1).flatten(1) for after, _ in history], dim=-1)
    step_differences, after_differences = steps.diff(dim=-1), afters.diff(dim=-1)
    gram = step_differences.mT @ step_differences
    # Steps that are nearly parallel are told apart down to 1e-10 of the largest; the rest is rounding.
    ridge = 1e-10 * gram.diagonal(dim1=1, dim2=2).amax(dim=-1)[:, None, None] * torch.eye(gram.shape[-1]).double()
    weights = torch.linalg.solve(gram + ridge, step_differences.mT @ steps[..., -1:])
    shift = (after_differences @ weights).squeeze(-1)  # (slow, state)
    mixed = newest.clone()
    mixed[:, slow] -= shift.view(len(shift), len(newest), -1).transpose(0, 1)
    return mixed
