"""Planets of the NASA Exoplanet Archive as parameters of the climate model, and what has to be assumed for that.

The archive knows a planet's orbit and the light it receives. It does not know obliquity, the season of perihelion (its
`pl_orblper` is measured from our line of sight), the atmosphere or the surface: these come from the caller, by default
from Earth, and are the same for all planets. The table says what a climate would be like, not what it is.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.data.exoplanet_archive import ExoplanetTable
from astrobio.data.planets import MAX_ECCENTRICITY, PARAMETER_NAMES, PlanetParameters, earth

SUN_TEMPERATURE_K = 5772.0  # IAU 2015 Resolution B3, nominal effective temperature

ASSUMED_PARAMETERS = tuple(name for name in PARAMETER_NAMES if name not in ("instellation", "eccentricity"))
"""What the archive knows of no planet."""


@dataclass(frozen=True, eq=False)
class ArchivePlanets:
    """Planets whose instellation and orbit fit the climate model.

    Attributes:
        parameters: (B,) each, float64.
        names: of the B planets.
        rows: (B,), int64, their rows in the table.
        instellation_is_derived: (B,), bool: from the star's light and the orbit's size, for want of `pl_insol`.
        eccentricity_is_assumed: (B,), bool: a circle, for want of a measured one.
        left_out: (name, reason) of the planets that are not among them.
        assumptions: in plain words, for whoever reads a result.
    """

    parameters: PlanetParameters
    names: tuple[str, ...]
    rows: Tensor
    instellation_is_derived: Tensor
    eccentricity_is_assumed: Tensor
    left_out: tuple[tuple[str, str], ...]
    assumptions: tuple[str, ...]


def to_planet_parameters(table: ExoplanetTable, *, assumed: PlanetParameters | None = None) -> ArchivePlanets:
    """The planets of a table that the climate model can compute.

    Instellation is `pl_insol`; where that is missing, L / a^2 with the luminosity 10^`st_lum`, or else
    `st_rad`^2 (`st_teff` / 5772 K)^4, in units of the Sun's, and a = `pl_orbsmax` in au. A value that is a limit counts
    as missing. Without a measured eccentricity the orbit is taken for a circle.

    Args:
        table: the archive's planets.
        assumed: one planet with everything that the archive does not know; Earth if not given. Its instellation and
            eccentricity are not used.

    Raises:
        ValueError: `assumed` is not one physical planet, or no planet of the table can be used.
    """
    template = earth() if assumed is None else assumed
    if len(template.instellation) != 1:
        raise ValueError(f"assumed must be one planet, got {len(template.instellation)}")
    template.require_physical()
    published = table.measured("pl_insol")
    instellation = torch.where(published.isnan(), _instellation_from_star(table), published)
    eccentricity = table.measured("pl_orbeccen")
    is_circle = eccentricity.isnan()
    eccentricity = eccentricity.nan_to_num(0.0)
    dark = ~(instellation > 0) | ~instellation.isfinite()
    eccentric = eccentricity > MAX_ECCENTRICITY
    rows = (~dark & ~eccentric).nonzero()[:, 0]
    if not len(rows):
        raise ValueError(
            f"none of the {len(table)} planets has an instellation and an eccentricity up to {MAX_ECCENTRICITY}; "
            "ask the archive for pl_insol, or for pl_orbsmax with st_lum or with st_rad and st_teff"
        )
    columns = template.to_tensor().to(torch.float64).repeat(len(rows), 1)
    columns[:, PARAMETER_NAMES.index("instellation")] = instellation[rows]
    columns[:, PARAMETER_NAMES.index("eccentricity")] = eccentricity[rows]
    derived = published.isnan()[rows]
    return ArchivePlanets(
        parameters=PlanetParameters.from_tensor(columns),
        names=tuple(table.names[row] for row in rows.tolist()),
        rows=rows,
        instellation_is_derived=derived,
        eccentricity_is_assumed=is_circle[rows],
        left_out=_left_out(table, dark, eccentric),
        assumptions=_assumptions(template, int(derived.sum()), int(is_circle[rows].sum()), len(rows)),
    )


def _instellation_from_star(table: ExoplanetTable) -> Tensor:
    """L / a^2 relative to Earth's, NaN where the table lacks what it takes."""
    from_star = table.measured("st_rad").square() * (table.measured("st_teff") / SUN_TEMPERATURE_K) ** 4
    logarithm = table.measured("st_lum")
    luminosity = torch.where(logarithm.isnan(), from_star, 10.0**logarithm)
    return luminosity / table.measured("pl_orbsmax").square()


def _left_out(table: ExoplanetTable, dark: Tensor, eccentric: Tensor) -> tuple[tuple[str, str], ...]:
    reasons = []
    for row, name in enumerate(table.names):
        if bool(dark[row]):
            reasons.append((name, "no instellation: neither pl_insol nor what it could be computed from"))
        elif bool(eccentric[row]):
            reasons.append(
                (name, f"eccentricity {float(table.column('pl_orbeccen')[row]):g} is above {MAX_ECCENTRICITY}")
            )
    return tuple(reasons)


def _assumptions(template: PlanetParameters, num_derived: int, num_circles: int, num_planets: int) -> tuple[str, ...]:
    assumed = ", ".join(f"{name} {float(getattr(template, name)):g}" for name in ASSUMED_PARAMETERS)
    return (
        f"{assumed}: assumed for every planet, as the archive does not know them",
        f"a circular orbit: assumed for {num_circles} of {num_planets} planets, which have no measured eccentricity",
        f"instellation: computed from the star and the orbit for {num_derived} of {num_planets} planets",
    )
