"""The air above a surface: a grey atmosphere in radiative equilibrium, adjusted to a critical lapse rate below.

The infrared two-stream equations in the Eddington approximation (Pierrehumbert 2010, Principles of Planetary Climate,
chapter 4), with the optical depth t measured from the top and scaled by the diffusivity factor, are

    dU/dt = U - B,    dD/dt = B - D,    B = sigma T^4.

Where radiation alone carries the flux F = U - D that leaves the planet, B = F (1 + t) / 2 and U = F (2 + t) / 2. Below
the tropopause convection keeps T = T_s (p / p_s)^b with b = R Gamma / g and the critical lapse rate Gamma of
6.5 K/km (Manabe & Strickler 1964, J. Atmos. Sci. 21, 361). Absorption by pressure-broadened lines makes the depth
grow with the square of the pressure: t = t_s (p / p_s)^2. Temperature and upward flux are continuous at the tropopause
(as in Robinson & Catling 2012, ApJ 757, 104), which leaves one free number, the depth t_s at the surface. It is the
one with which a surface at T_s lets F through, so a column follows from those two and is consistent with whatever
energy-balance model they come from. Divided by sigma T_s^4 everything depends on the ratio e = F / (sigma T_s^4) alone.

Limits: no absorption of starlight in the air, one gas for all wavelengths, and no inversions: the ground is never
colder than the air next to it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

STEFAN_BOLTZMANN_W_M2_K4 = 5.670374419e-8  # CODATA 2018, exact
SURFACE_PRESSURE_PA = 1.01325e5  # one standard atmosphere
GRAVITY_M_S2 = 9.80665
DRY_AIR_GAS_CONSTANT_J_KG_K = 287.05
DRY_AIR_HEAT_CAPACITY_J_KG_K = 1004.7  # at constant pressure, 7/2 of the gas constant
CRITICAL_LAPSE_RATE_K_M = 6.5e-3  # Manabe & Strickler 1964
ADIABAT_EXPONENT = DRY_AIR_GAS_CONSTANT_J_KG_K * CRITICAL_LAPSE_RATE_K_M / GRAVITY_M_S2  # 0.190
DEPTH_EXPONENT = 2.0  # of pressure, for pressure-broadened lines
# B in the convective region is (t / t_s) to this power.
_SOURCE_EXPONENT = 4.0 * ADIABAT_EXPONENT / DEPTH_EXPONENT

WATER_GAS_CONSTANT_J_KG_K = 461.5
VAPORISATION_HEAT_J_KG = 2.5e6
TRIPLE_POINT_K = 273.16
TRIPLE_POINT_PRESSURE_PA = 611.657
# Relative humidity 0.77 (s - 0.02) / (1 - 0.02) at s = p / p_s: Manabe & Wetherald 1967, J. Atmos. Sci. 24, 241.
SURFACE_RELATIVE_HUMIDITY = 0.77
DRY_SIGMA = 0.02

# Depths at the surface that are tabulated: from nearly transparent to an e of 0.07.
_DEPTHS = (1e-3, 1e3)
_TABLE_SIZE = 1024
_QUADRATURE_NODES = 64


@dataclass(frozen=True, eq=False)
class GreyColumns:
    """Air above a field of surfaces; levels from the ground up.

    Attributes:
        temperature_k: (..., level).
        surface_depth: (...), scaled optical depth at the surface.
        tropopause_sigma: (...), pressure of the tropopause over that of the surface.
    """

    temperature_k: Tensor
    surface_depth: Tensor
    tropopause_sigma: Tensor


def equal_mass_levels(num_levels: int) -> Tensor:
    """Pressure over surface pressure in the middle of layers of equal mass, from the ground up: (level,), float64."""
    if num_levels < 1:
        raise ValueError(f"num_levels must be at least 1, got {num_levels}")
    return 1.0 - (torch.arange(num_levels, dtype=torch.float64) + 0.5) / num_levels


def grey_columns(surface_temperature_k: Tensor, outgoing_infrared_w_m2: Tensor, sigma: Tensor) -> GreyColumns:
    """The radiative-convective column above every surface, in float64.

    Args:
        surface_temperature_k: (...), K.
        outgoing_infrared_w_m2: (...), what leaves the planet above it, W/m2.
        sigma: (level,), pressure over surface pressure, in (0, 1].

    Raises:
        ValueError: a surface emits less than leaves the planet, or so little leaves that no depth in the table fits.
    """
    _check_sigma(sigma)
    ratio = _ratio_to_emitted(surface_temperature_k, outgoing_infrared_w_m2)
    table = _depth_table()
    depth, tropopause = (_interpolated(ratio, table.ratio, column).exp() for column in (table.log_depth, table.log_top))
    depth_at_level = depth.unsqueeze(-1) * sigma.double() ** DEPTH_EXPONENT
    convective = depth_at_level > tropopause.unsqueeze(-1)
    source = torch.where(
        convective,
        sigma.double().expand_as(depth_at_level) ** (4.0 * ADIABAT_EXPONENT),
        0.5 * ratio.unsqueeze(-1) * (1.0 + depth_at_level),
    )
    return GreyColumns(
        temperature_k=surface_temperature_k.double().unsqueeze(-1) * source**0.25,
        surface_depth=depth,
        tropopause_sigma=(tropopause / depth) ** (1.0 / DEPTH_EXPONENT),
    )


def net_infrared(surface_temperature_k: Tensor, outgoing_infrared_w_m2: Tensor, sigma: Tensor) -> Tensor:
    """Upward minus downward infrared flux in the columns of `grey_columns`, with its arguments and errors.

    Returns:
        (..., level), float64, W/m2; above the tropopause what leaves the planet.
    """
    _check_sigma(sigma)
    ratio = _ratio_to_emitted(surface_temperature_k, outgoing_infrared_w_m2)
    columns = _net_table(tuple(sigma.double().tolist()))
    over_emitted = torch.stack([_interpolated(ratio, _depth_table().ratio, column) for column in columns], dim=-1)
    return over_emitted / ratio.unsqueeze(-1) * outgoing_infrared_w_m2.double().unsqueeze(-1)


def saturation_pressure(temperature_k: Tensor) -> Tensor:
    """Vapour pressure of water over a surface of it, Pa: Clausius-Clapeyron with a constant heat of vaporisation."""
    exponent = VAPORISATION_HEAT_J_KG / WATER_GAS_CONSTANT_J_KG_K * (1.0 / TRIPLE_POINT_K - 1.0 / temperature_k)
    return TRIPLE_POINT_PRESSURE_PA * exponent.exp()


def specific_humidity(temperature_k: Tensor, sigma: Tensor) -> Tensor:
    """Mass of vapour per mass of air, at the relative humidity of Manabe & Wetherald 1967.

    Args:
        temperature_k: (..., level), K.
        sigma: (level,), pressure over surface pressure, above 0.02.

    Raises:
        ValueError: a level lies where that law has no vapour, or the air is so hot that it would be vapour alone.
    """
    if not (sigma > DRY_SIGMA).all():
        raise ValueError(f"the law for relative humidity holds below sigma = {DRY_SIGMA}, got {sigma.tolist()}")
    relative = SURFACE_RELATIVE_HUMIDITY * (sigma - DRY_SIGMA) / (1.0 - DRY_SIGMA)
    vapour = relative * saturation_pressure(temperature_k)
    pressure = SURFACE_PRESSURE_PA * sigma
    if not (vapour < pressure).all():
        raise ValueError(f"air at {float(temperature_k.max()):.1f} K holds more vapour than its pressure allows")
    molar_masses = DRY_AIR_GAS_CONSTANT_J_KG_K / WATER_GAS_CONSTANT_J_KG_K
    return molar_masses * vapour / (pressure - (1.0 - molar_masses) * vapour)


def _check_sigma(sigma: Tensor) -> None:
    if not ((sigma > 0) & (sigma <= 1)).all():
        raise ValueError(f"sigma must be in (0, 1], got {sigma.tolist()}")


def _ratio_to_emitted(surface_temperature_k: Tensor, outgoing_infrared_w_m2: Tensor) -> Tensor:
    ratio = outgoing_infrared_w_m2.double() / (STEFAN_BOLTZMANN_W_M2_K4 * surface_temperature_k.double() ** 4)
    low, high = (float(end) for end in _depth_table().ratio[[0, -1]])
    if not ((ratio >= low) & (ratio <= high)).all():
        raise ValueError(
            f"the flux to space over that emitted by the surface must be in [{low:.3f}, {high:.3f}] for a grey column, "
            f"got {float(ratio.min()):.3f} to {float(ratio.max()):.3f}"
        )
    return ratio


@dataclass(frozen=True, eq=False)
class _DepthTable:
    """Columns of increasing e; everything (entry,)."""

    ratio: Tensor  # e
    log_depth: Tensor  # of the surface
    log_top: Tensor  # logarithm of the depth of the tropopause


@lru_cache(maxsize=1)
def _depth_table() -> _DepthTable:
    thin, thick = (math.log(depth) for depth in _DEPTHS)
    surface = torch.linspace(thick, thin, _TABLE_SIZE, dtype=torch.float64).exp()
    low, high = torch.zeros_like(surface), surface.clone()
    # The upward flux of the adiabat exceeds that of the radiative profile above the tropopause, and only there.
    # Bisection ends at the rounding of a double.
    for _ in range(60):
        middle = 0.5 * (low + high)
        radiative = (2.0 + middle) / (1.0 + middle) * (middle / surface) ** _SOURCE_EXPONENT
        above = radiative < _upward(middle, surface)
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    top = 0.5 * (low + high)
    ratio = 2.0 * (top / surface) ** _SOURCE_EXPONENT / (1.0 + top)
    return _DepthTable(ratio=ratio, log_depth=surface.log(), log_top=top.log())


def _upward(depth: Tensor, surface: Tensor) -> Tensor:
    """Upward flux at a depth within the adiabat, over that emitted by the surface.

    With s = 1 - exp(-(t' - t)) the integral of B exp(-(t' - t)) over the air below has a bounded range and no
    exponential, so that one quadrature serves thin and thick columns.
    """
    nodes, weights = _quadrature()
    span = -torch.expm1(depth - surface)
    below = depth.unsqueeze(-1) - torch.log1p(-span.unsqueeze(-1) * nodes)
    source = (below / surface.unsqueeze(-1)) ** _SOURCE_EXPONENT
    return (depth - surface).exp() + span * (source * weights).sum(dim=-1)


def _downward(depth: Tensor, top: Tensor, surface: Tensor, ratio: Tensor) -> Tensor:
    """Downward flux at a depth within the adiabat: that at the tropopause, absorbed, and what the air between emits."""
    nodes, weights = _quadrature()
    span = -torch.expm1(top - depth)
    above = depth.unsqueeze(-1) + torch.log1p(-span.unsqueeze(-1) * nodes)
    source = (above / surface.unsqueeze(-1)) ** _SOURCE_EXPONENT
    return 0.5 * ratio * top * (top - depth).exp() + span * (source * weights).sum(dim=-1)


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights on [0, 1], from the eigenvectors of the Jacobi matrix (Golub & Welsch 1969)."""
    order = torch.arange(1, _QUADRATURE_NODES, dtype=torch.float64)
    off_diagonal = order / (4.0 * order**2 - 1.0).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(off_diagonal, 1) + torch.diag(off_diagonal, -1))
    return 0.5 * (nodes + 1.0), vectors[0] ** 2


@lru_cache(maxsize=8)
def _net_table(sigma: tuple[float, ...]) -> tuple[Tensor, ...]:
    table = _depth_table()
    surface, top = table.log_depth.exp(), table.log_top.exp()
    columns = []
    for level in sigma:
        depth = torch.maximum(surface * level**DEPTH_EXPONENT, top)  # at the tropopause the net flux is e already
        columns.append(_upward(depth, surface) - _downward(depth, top, surface, table.ratio))
    return tuple(columns)


def _interpolated(at: Tensor, grid: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation; `grid` increases and encloses `at`."""
    right = torch.searchsorted(grid, at.contiguous()).clamp(1, len(grid) - 1)
    fraction = (at - grid[right - 1]) / (grid[right] - grid[right - 1])
    return values[right - 1] + fraction * (values[right] - values[right - 1])
