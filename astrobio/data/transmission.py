"""Transmission spectra: how deep a planet's transit is at each wavelength.

The atmosphere is isothermal, well mixed and hydrostatic above an opaque floor: the surface at known pressure, or the
top of a cloud deck that covers the planet. The effective height above the floor then has a closed form (de Wit & Seager
2013, Science 342; Heng & Kitzmann 2017, The theory of transmission spectra revisited, MNRAS 470):
H (gamma + E1(tau) + ln tau), with the scale height H, Euler's gamma, the exponential integral E1 and the optical depth
tau of the ray that grazes the floor.
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from astrobio.data.gases import GASES, MOLAR_MASS_G_MOL, absorption_cross_sections, rayleigh_cross_section

SURFACE_PRESSURE_PA = 1.0e5
EARTH_RADIUS_M = 6.371e6  # volumetric mean
SUN_RADIUS_M = 6.957e8  # nominal, IAU 2015 resolution B3
_GAS_CONSTANT = 8.314462618  # J/(mol K)
_BOLTZMANN = 1.380649e-23  # J/K
_EULER_GAMMA = 0.5772156649015329

NUM_WAVELENGTHS = 208
_WAVELENGTH_RANGE_UM = (0.5, 16.0)


@dataclass(frozen=True, eq=False)
class TransitingPlanets:
    """What a spectrum depends on. All fields but the last are (B,).

    Attributes:
        radius_earth: radius of the surface, Earth radii.
        gravity_m_s2: surface gravity, m/s2.
        temperature_k: temperature of the atmosphere, K.
        star_radius_sun: radius of the star, solar radii.
        cloud_top_pa: pressure at the top of the clouds, Pa; `SURFACE_PRESSURE_PA` for a clear sky.
        log10_abundance: (B, 5), decimal logarithm of the volume mixing ratio of each of `GASES`; N2 is the rest.
    """

    radius_earth: Tensor
    gravity_m_s2: Tensor
    temperature_k: Tensor
    star_radius_sun: Tensor
    cloud_top_pa: Tensor
    log10_abundance: Tensor

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit."""
        shape = self.radius_earth.shape
        for name in (*PROPERTY_NAMES, "cloud_top_pa"):
            if getattr(self, name).shape != shape or len(shape) != 1:
                raise ValueError(f"{name} must be (B,) as all others, got {tuple(getattr(self, name).shape)}")
        if self.log10_abundance.shape != (*shape, len(GASES)):
            raise ValueError(f"log10_abundance must be (B, {len(GASES)}), got {tuple(self.log10_abundance.shape)}")

    def __len__(self) -> int:
        """The number of planets."""
        return len(self.radius_earth)

    def __getitem__(self, planets: Tensor) -> "TransitingPlanets":
        """The planets at these indices, an integer tensor (n,)."""
        return TransitingPlanets(*(getattr(self, each.name)[planets] for each in fields(self)))

    @property
    def properties(self) -> Tensor:
        """(B, 4), columns `PROPERTY_NAMES`: what is known of a planet beside its spectrum."""
        return torch.stack([getattr(self, name) for name in PROPERTY_NAMES], dim=1)

    def require_physical(self) -> None:
        """Raise ValueError where a quantity is not positive and finite, a cloud lies below the surface, or the gases
        fill more than the atmosphere."""
        for name in (*PROPERTY_NAMES, "cloud_top_pa"):
            values = getattr(self, name)
            if not (values.isfinite() & (values > 0)).all():
                raise ValueError(f"{name} must be positive and finite")
        if (self.cloud_top_pa > SURFACE_PRESSURE_PA).any():
            raise ValueError(f"cloud_top_pa must not exceed the {SURFACE_PRESSURE_PA:g} Pa of the surface")
        total = (10.0**self.log10_abundance).sum(dim=1)
        if not (total <= 1.0).all():
            raise ValueError(f"the mixing ratios of the gases add up to {float(total.max()):.3g}, which is more than 1")


PROPERTY_NAMES = ("radius_earth", "gravity_m_s2", "temperature_k", "star_radius_sun")


def wavelength_grid() -> Tensor:
    """The wavelengths of a spectrum, (208,) float64 in micrometres, evenly spaced in their logarithm.

    Spectra are sampled there, not averaged over bins: bands narrower than the spacing, as those of O2, may be missed.
    """
    low, high = _WAVELENGTH_RANGE_UM
    edges = torch.linspace(math.log(low), math.log(high), NUM_WAVELENGTHS + 1, dtype=torch.float64)
    return ((edges[1:] + edges[:-1]) / 2).exp()


def scale_height_m(planets: TransitingPlanets) -> Tensor:
    """R T / (mu g), (B,) in m, with the mean molar mass mu of the mixture."""
    ratios = 10.0**planets.log10_abundance
    nitrogen = MOLAR_MASS_G_MOL["N2"]
    excess = torch.tensor([MOLAR_MASS_G_MOL[gas] - nitrogen for gas in GASES], dtype=ratios.dtype, device=ratios.device)
    mean_molar_mass = 1e-3 * (nitrogen + ratios @ excess)  # kg/mol
    return _GAS_CONSTANT * planets.temperature_k / (mean_molar_mass * planets.gravity_m_s2)


def grazing_optical_depth(planets: TransitingPlanets, wavelength_um: Tensor) -> Tensor:
    """The optical depth of the ray that grazes the floor, (B, wavelengths): n0 sigma sqrt(2 pi R H).

    Fortney 2005, MNRAS 364. n0 is the number density at the floor, sigma
    the mean cross-section of a molecule; R is that of the surface, from which the floor's differs by a hundredth.
    """
    sigma = absorption_cross_sections(wavelength_um)
    sigma_cm2 = 10.0**planets.log10_abundance @ sigma + rayleigh_cross_section(wavelength_um)
    density = planets.cloud_top_pa / (_BOLTZMANN * planets.temperature_k)  # 1/m3
    path = torch.sqrt(2.0 * math.pi * planets.radius_earth * EARTH_RADIUS_M * scale_height_m(planets))  # m
    return 1e-4 * sigma_cm2 * (density * path)[:, None]


def effective_height(optical_depth: Tensor) -> Tensor:
    """gamma + E1(tau) + ln tau: the effective height of the atmosphere in scale heights, of the shape of tau.

    The exponential integral is that of Abramowitz & Stegun 1964, equations 5.1.53 (tau <= 1, error below 2e-7) and
    5.1.56 (relative error below 2e-8).
    """
    small = optical_depth.clamp(max=1.0)
    series = (0.99999193, -0.24991055, 0.05519968, -0.00976004, 0.00107857)
    thin = sum(factor * small ** (power + 1) for power, factor in enumerate(series))
    large = optical_depth.clamp(min=1.0)
    above = _polynomial(large, (1.0, 8.5733287401, 18.0590169730, 8.6347608925, 0.2677737343))
    below = _polynomial(large, (1.0, 9.5733223454, 25.6329561486, 21.0996530827, 3.9584969228))
    thick = _EULER_GAMMA + torch.exp(-large) / large * above / below + large.log()
    return torch.where(optical_depth <= 1.0, thin, thick)


def transit_depth(planets: TransitingPlanets, wavelength_um: Tensor | None = None) -> Tensor:
    """The share of the star's light that the planet and its atmosphere block, (B, wavelengths).

    Args:
        planets: what the spectrum depends on.
        wavelength_um: (wavelengths,) in micrometres; None means `wavelength_grid()`.

    Raises:
        ValueError: see `TransitingPlanets.require_physical`.
    """
    planets.require_physical()
    dtype = planets.log10_abundance.dtype
    grid = wavelength_grid().to(dtype) if wavelength_um is None else wavelength_um
    floor = torch.log(SURFACE_PRESSURE_PA / planets.cloud_top_pa)  # in scale heights above the surface
    height_m = scale_height_m(planets)[:, None] * (
        floor[:, None] + effective_height(grazing_optical_depth(planets, grid))
    )
    radius_m = planets.radius_earth[:, None] * EARTH_RADIUS_M + height_m
    return (radius_m / (planets.star_radius_sun[:, None] * SUN_RADIUS_M)).square()


def height_from_depth(depth: Tensor, properties: Tensor) -> tuple[Tensor, Tensor]:
    """Turn transit depths back into effective heights, in scale heights of an atmosphere of pure N2.

    Args:
        depth: (B, wavelengths).
        properties: (B, 4), columns `PROPERTY_NAMES`.

    Returns:
        The heights, (B, wavelengths), and the factor (B, 1) by which a small change of depth changes them.
    """
    radius, gravity, temperature, star = properties.unbind(dim=1)
    unit_m = _GAS_CONSTANT * temperature / (1e-3 * MOLAR_MASS_G_MOL["N2"] * gravity)
    planet_m, star_m = radius * EARTH_RADIUS_M, star * SUN_RADIUS_M
    # As a difference of squares: the radii agree in their first three digits.
    excess = depth - (planet_m / star_m).square()[:, None]
    height_m = excess * star_m.square()[:, None] / (depth.clamp_min(0.0).sqrt() * star_m[:, None] + planet_m[:, None])
    return height_m / unit_m[:, None], (star_m.square() / (2.0 * planet_m * unit_m))[:, None]


def _polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Horner's scheme, the highest power first."""
    value = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value
