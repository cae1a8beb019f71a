"""A seasonal energy-balance climate model over latitude (North, Cahalan & Coakley 1981, Rev. Geophys. 19, 91).

With x = sin(latitude) the surface temperature T(t, x) obeys

    C dT/dt = S(t, x) (1 - albedo(T)) - F(T, CO2) + d/dx [D (1 - x^2) dT/dx],

in W/m2: the heat capacity C of an ocean mixed layer, daily-mean insolation S (Berger 1978), an albedo that rises
smoothly from open water to ice, an outgoing infrared flux F linear in T, lowered by CO2 (Myhre et al. 1998), and
diffusive transport with coefficient D. Cells have equal area, and the transport is a difference of fluxes through
cell edges that vanish at the poles, so it moves heat without making any.

A year is cut into equal steps of backward Euler. The solution is the cycle that repeats every year. While spinning
up, the albedo of a step is taken at a prediction of the new temperature: the old one plus last year's change over the
same step. Once the cycle repeats the prediction is exact, so the converged cycle satisfies the fully implicit step.

Limits: one surface type, no clouds, a year as long as Earth's, and a linear infrared flux, which knows no runaway
greenhouse and overstates cooling of very cold planets.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from astrobio.data.insolation import cell_mean_insolation, sine_latitude_edges
from astrobio.data.planets import SOLAR_CONSTANT_W_M2, PlanetParameters

NUM_TIMES = 48
NUM_LATITUDES = 24
SECONDS_PER_YEAR = 3.15576e7  # Julian year

FREEZING_K = 273.15
INFRARED_AT_FREEZING_W_M2 = 203.3  # A of North, Cahalan & Coakley 1981, fitted to satellite data
INFRARED_SLOPE_W_M2_K = 2.09  # B, same source
REFERENCE_CO2_PPM = 330.0  # around 1975, the time of that fit
CO2_FORCING_W_M2 = 5.35  # per e-folding, Myhre et al. 1998

OPEN_ALBEDO = 0.30
ICE_ALBEDO = 0.62  # Sellers 1969; Budyko 1969
ICE_EDGE_K = 263.15  # -10 C annual mean at the ice edge, Budyko 1969
ICE_EDGE_WIDTH_K = 5.0  # smooth transition as in Spiegel, Menou & Scharf 2008

WATER_HEAT_CAPACITY_J_M3_K = 4.0e6  # sea water: 1025 kg/m3 * 3990 J/kg/K, rounded up to 2 digits

# The spin-up ends when no temperature differs by more than this from the same date of the year before. With the
# largest heat capacity allowed in the data set the annual imbalance is then below 1e-6 of the absorbed flux.
CONVERGED_K = 1e-6
MAX_YEARS = 20_000  # close to the fold where the warm climate ends, a planet drifts for thousands of years


@dataclass(frozen=True, eq=False)
class ClimateCycle:
    """The seasonal cycle that repeats every year.

    Attributes:
        temperature_k: (B, time, latitude), at the end of each step; times as in `cell_mean_insolation`.
        years: (B,), int64, years of spin-up until the cycle repeated.
    """

    temperature_k: Tensor
    years: Tensor


def albedo(temperature_k: Tensor) -> Tensor:
    """Planetary albedo of a surface at this temperature, between open water and ice."""
    ice_fraction = torch.sigmoid((ICE_EDGE_K - temperature_k) * (2.0 / ICE_EDGE_WIDTH_K))
    return OPEN_ALBEDO + (ICE_ALBEDO - OPEN_ALBEDO) * ice_fraction


def _absorbed_share(temperature_k: Tensor) -> Tensor:
    """1 - `albedo`, to the last bit, written over the temperatures."""
    ice_fraction = temperature_k.neg_().add_(ICE_EDGE_K).mul_(2.0 / ICE_EDGE_WIDTH_K).sigmoid_()
    return ice_fraction.mul_(ICE_ALBEDO - OPEN_ALBEDO).add_(OPEN_ALBEDO).neg_().add_(1)


def outgoing_infrared(temperature_k: Tensor, co2_ppm: Tensor) -> Tensor:
    """Infrared flux to space, W/m2; the arguments broadcast."""
    linear = INFRARED_AT_FREEZING_W_M2 + INFRARED_SLOPE_W_M2_K * (temperature_k - FREEZING_K)
    return linear - CO2_FORCING_W_M2 * (co2_ppm / REFERENCE_CO2_PPM).log()


def transport_convergence(temperature_k: Tensor, diffusivity: Tensor) -> Tensor:
    """Heat brought into each cell by diffusion, W/m2; its sum over latitudes is zero to rounding.

    Args:
        temperature_k: (B, time, latitude).
        diffusivity: (B,), W/m2/K.
    """
    num_latitudes = temperature_k.shape[-1]
    cell_width = 2.0 / num_latitudes
    inner_edges = sine_latitude_edges(num_latitudes, like=temperature_k)[1:-1]
    conductance = diffusivity[:, None, None] * (1 - inner_edges**2)
    southward_flux = conductance * temperature_k.diff(dim=-1) / cell_width  # none through the poles
    return torch.nn.functional.pad(southward_flux, (1, 1)).diff(dim=-1) / cell_width


def annual_heat_budget(temperature_k: Tensor, planets: PlanetParameters, insolation: Tensor | None = None) -> Tensor:
    """The heat that each latitude gains over a whole year; zero for a cycle that repeats.

    Args:
        temperature_k: (B, time, latitude), a cycle of any resolution.
        planets: B planets.
        insolation: (B, time, latitude) in W/m2, to save computing it again.

    Returns:
        (B, latitude), annual mean in W/m2; its mean over latitudes is the global energy imbalance.
    """
    if insolation is None:
        _, num_times, num_latitudes = temperature_k.shape
        insolation = cell_mean_insolation(planets, num_times=num_times, num_latitudes=num_latitudes)
    absorbed = insolation * (1 - albedo(temperature_k))
    emitted = outgoing_infrared(temperature_k, planets.co2_ppm[:, None, None])
    return (absorbed - emitted + transport_convergence(temperature_k, planets.diffusivity)).mean(dim=1)


def equilibrium_temperature(instellation: Tensor, co2_ppm: Tensor, surface_albedo: float) -> Tensor:
    """Global mean temperature in K at which a planet of uniform albedo on a circular orbit is in balance."""
    absorbed = SOLAR_CONSTANT_W_M2 / 4 * instellation * (1 - surface_albedo)
    at_freezing = outgoing_infrared(torch.full_like(co2_ppm, FREEZING_K), co2_ppm)
    return FREEZING_K + (absorbed - at_freezing) / INFRARED_SLOPE_W_M2_K


@torch.no_grad()
def simulate_climate(
    planets: PlanetParameters,
    *,
    num_times: int = NUM_TIMES,
    num_latitudes: int = NUM_LATITUDES,
    initial_temperature_k: float = 288.0,
    max_years: int = MAX_YEARS,
) -> ClimateCycle:
    """The repeating seasonal cycle of every planet, in float64 on the CPU.

    Planets with both a warm and a frozen stable climate reach the one on the side of the initial temperature. Each
    planet leaves the batch as soon as its own cycle repeats within `CONVERGED_K`.

    Raises:
        ValueError: a non-physical parameter, fewer than 8 times, 2 latitudes or 1 year, or a non-physical start.
        RuntimeError: a cycle does not repeat within `max_years` (the message gives the remaining change), or a
            temperature overflows.
    """
    result, change_k = _spin_up(planets, num_times, num_latitudes, initial_temperature_k, max_years)
    unsettled = (change_k > CONVERGED_K).nonzero()[:, 0]
    if len(unsettled):
        first = int(unsettled[0])
        raise RuntimeError(
            f"{len(unsettled)} of {len(change_k)} planets do not repeat within {max_years} years; planet {first} "
            f"still changes by {float(change_k[first]):.2e} K per year"
        )
    return result


@torch.no_grad()
def simulate_where_settled(planets: PlanetParameters, *, max_years: int) -> tuple[Tensor, ClimateCycle]:
    """As `simulate_climate` with its defaults, but planets that need more than `max_years` years are left out.

    Returns:
        The indices of the planets whose cycle repeats, int64, (n,); their cycles.

    Raises:
        ValueError: as `simulate_climate`.
        RuntimeError: a temperature overflows.
    """
    result, change_k = _spin_up(planets, NUM_TIMES, NUM_LATITUDES, 288.0, max_years)
    settled = (change_k <= CONVERGED_K).nonzero()[:, 0]
    return settled, ClimateCycle(temperature_k=result.temperature_k[settled], years=result.years[settled])


def _spin_up(
    planets: PlanetParameters, num_times: int, num_latitudes: int, initial_temperature_k: float, max_years: int
) -> tuple[ClimateCycle, Tensor]:
    """The last year of every planet, and by how much it differs from the year before, (B,) in K."""
    planets.require_physical()
    if num_times < 8 or num_latitudes < 2:
        raise ValueError(f"need at least 8 times and 2 latitudes, got {num_times} and {num_latitudes}")
    if not (math.isfinite(initial_temperature_k) and initial_temperature_k > 0):
        raise ValueError(f"initial_temperature_k must be positive and finite, got {initial_temperature_k}")
    if max_years < 1:
        raise ValueError(f"max_years must be at least 1, got {max_years}")
    table = planets.to_tensor().detach().double().cpu()
    march = _ZonalMarch.prepare(PlanetParameters.from_tensor(table), num_times, num_latitudes)
    cycle = torch.full((num_times, len(table), num_latitudes), initial_temperature_k, dtype=table.dtype)
    result = torch.empty_like(cycle)
    years = torch.zeros(len(table), dtype=torch.int64)
    change_k = torch.zeros(len(table), dtype=table.dtype)
    active = torch.arange(len(table))
    for year in range(1, max_years + 1):
        if len(active) == 0:
            break
        new_cycle = march.next_year(cycle)
        change = (new_cycle - cycle).abs().amax(dim=(0, 2))
        if not change.isfinite().all():
            planet = int(active[~change.isfinite()][0])
            raise RuntimeError(f"the temperature of planet {planet} overflows in year {year}")
        done = change <= CONVERGED_K if year < max_years else torch.ones_like(change, dtype=torch.bool)
        cycle = new_cycle
        if done.any():
            result[:, active[done]] = cycle[:, done]
            years[active[done]] = year
            change_k[active[done]] = change[done]
            active, cycle, march = active[~done], cycle[:, ~done], march.only(~done)
    return ClimateCycle(temperature_k=result.transpose(0, 1).contiguous(), years=years), change_k


@dataclass(frozen=True, eq=False)
class YearMarch(ABC):
    """What marching a batch through a year needs. Time leads, so that a step reads contiguous memory.

    Steps are of backward Euler, with the albedo at a prediction that is exact once the year repeats. A subclass knows
    the transport between the cells.
    """

    insolation: Tensor  # (time, B, cell), W/m2
    constant_infrared: Tensor  # (B, 1), W/m2 at 0 K
    storage: Tensor  # (B, cell) or (B, 1), C/dt in W/m2/K

    @abstractmethod
    def solve(self, forcing: Tensor, out: Tensor) -> None:
        """Write the temperatures after a step, (B, cell) in K, from what drives them, of the same shape in W/m2."""

    def next_year(self, cycle: Tensor) -> Tensor:
        """The year after `cycle`, (time, B, cell), which must end where the next one begins."""
        new_cycle = torch.empty_like(cycle)
        predicted_change = cycle - cycle.roll(1, dims=0)
        temperature = cycle[-1]
        # Small tensors: a step costs what its operations cost to call, and fewer where they write in place.
        for sun, change, after in zip(*map(Tensor.unbind, (self.insolation, predicted_change, new_cycle)), strict=True):
            absorbed = _absorbed_share(change.add_(temperature)).mul_(sun)
            self.solve((self.storage * temperature).add_(absorbed).sub_(self.constant_infrared), out=after)
            temperature = after
        return new_cycle


@dataclass(frozen=True, eq=False)
class _ZonalMarch(YearMarch):
    """The march over latitudes alone.

    A step solves (C/dt + B - D L) T_new = C/dt T_old + absorbed - F_0, with L the transport operator and F_0 the
    constant part of the infrared flux. L is symmetric and the same for all planets, so its eigenvectors turn every
    step into a division.
    """

    inverse: Tensor  # (B, latitude), of C/dt + B - D * eigenvalue
    modes: Tensor  # (latitude, latitude), eigenvectors in columns

    @classmethod
    def prepare(cls, planets: PlanetParameters, num_times: int, num_latitudes: int) -> "_ZonalMarch":
        insolation = cell_mean_insolation(planets, num_times=num_times, num_latitudes=num_latitudes)
        capacity = WATER_HEAT_CAPACITY_J_M3_K * planets.mixed_layer_depth_m[:, None]
        storage = capacity * (num_times / SECONDS_PER_YEAR)
        eigenvalues, modes = transport_modes(num_latitudes)
        damping = storage + INFRARED_SLOPE_W_M2_K - planets.diffusivity[:, None] * eigenvalues
        return cls(
            insolation=insolation.transpose(0, 1).contiguous(),
            constant_infrared=outgoing_infrared(torch.zeros_like(storage), planets.co2_ppm[:, None]),
            storage=storage,
            inverse=damping.reciprocal(),
            modes=modes,
        )

    def solve(self, forcing: Tensor, out: Tensor) -> None:
        """Write the temperatures after a step, (B, latitude)."""
        torch.mm((forcing @ self.modes).mul_(self.inverse), self.modes.T, out=out)

    def only(self, keep: Tensor) -> "_ZonalMarch":
        """The same for the planets that the bool mask keeps."""
        return _ZonalMarch(
            insolation=self.insolation[:, keep],
            constant_infrared=self.constant_infrared[keep],
            storage=self.storage[keep],
            inverse=self.inverse[keep],
            modes=self.modes,
        )


@lru_cache(maxsize=8)
def transport_modes(num_latitudes: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues, none positive, and eigenvectors of the transport operator for D = 1 W/m2/K."""
    unit = torch.eye(num_latitudes, dtype=torch.float64).unsqueeze(0)
    operator = transport_convergence(unit, torch.ones(1, dtype=torch.float64))[0]
    eigenvalues, modes = torch.linalg.eigh(operator)
    return eigenvalues, modes
