"""Physical quantities in data files: the unit each is kept in, the range its values must lie in, and known units."""

import math
from dataclasses import dataclass

# spelling -> (the unit it is kept in, factor, offset): kept = factor * given + offset. Spellings are those of CF files
# (udunits2 knows more). A unit that is not here is refused, never guessed.
_CONVERSIONS: dict[str, tuple[str, float, float]] = {
    **dict.fromkeys(("K", "kelvin", "Kelvin", "degK", "deg_K", "degree_K"), ("K", 1.0, 0.0)),
    **dict.fromkeys(
        ("degC", "deg_C", "celsius", "Celsius", "degree_C", "degrees_C", "degree_Celsius", "degrees_Celsius", "°C"),
        ("K", 1.0, 273.15),
    ),
    **dict.fromkeys(("Pa", "pascal", "Pascal", "pascals"), ("Pa", 1.0, 0.0)),
    **dict.fromkeys(("hPa", "mbar", "mb", "millibar", "millibars", "hectopascal"), ("Pa", 100.0, 0.0)),
    "kPa": ("Pa", 1e3, 0.0),
    "bar": ("Pa", 1e5, 0.0),
    **dict.fromkeys(("m", "metre", "meter", "metres", "meters"), ("m", 1.0, 0.0)),
    **dict.fromkeys(("km", "kilometre", "kilometer", "kilometres", "kilometers"), ("m", 1e3, 0.0)),
    **dict.fromkeys(("1", "kg kg-1", "kg/kg", "kg kg**-1", "mol mol-1"), ("1", 1.0, 0.0)),
    **dict.fromkeys(("g kg-1", "g/kg"), ("1", 1e-3, 0.0)),
    **dict.fromkeys(("%", "percent"), ("1", 1e-2, 0.0)),
    **dict.fromkeys(("W m-2", "W/m2", "W/m^2", "W m^-2", "W m**-2"), ("W m-2", 1.0, 0.0)),
    **dict.fromkeys(("m s-1", "m/s", "m s^-1", "m s**-1"), ("m s-1", 1.0, 0.0)),
    **dict.fromkeys(
        ("degrees_north", "degree_north", "degrees_N", "degree_N", "degreesN", "degreeN"), ("degrees_north", 1.0, 0.0)
    ),
    **dict.fromkeys(
        ("degrees_east", "degree_east", "degrees_E", "degree_E", "degreesE", "degreeE"), ("degrees_east", 1.0, 0.0)
    ),
}


@dataclass(frozen=True)
class Quantity:
    """What a variable of a file is expected to be.

    Attributes:
        unit: the unit its values are kept in; one that `conversion` leads to.
        low: the least value that is taken for possible, in that unit.
        high: the greatest.

    Raises:
        ValueError: the unit is not one that values are kept in, or the range is empty or not finite.
    """

    unit: str
    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse what no file could satisfy."""
        if self.unit not in KEPT_UNITS:
            raise ValueError(f"values are kept in one of {', '.join(KEPT_UNITS)}; got {self.unit!r}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a quantity needs a finite range from low to high, got [{self.low:g}, {self.high:g}]")


def conversion(unit: str) -> tuple[str, float, float] | None:
    """(the unit that values are kept in, factor, offset) of a spelling in a file; None where it is not known."""
    return _CONVERSIONS.get(unit.strip())


def spellings(kept: str) -> list[str]:
    """The known spellings of the units that convert to this one."""
    return [unit for unit, (target, _, _) in _CONVERSIONS.items() if target == kept]


KEPT_UNITS = tuple(dict.fromkeys(target for target, _, _ in _CONVERSIONS.values()))
"""The units that values are kept in."""

# The ranges are wide: they catch a wrong unit or a shifted value, not an unusual planet.
TEMPERATURE = Quantity("K", 1.0, 1e4)
PRESSURE = Quantity("Pa", 0.0, 1e9)
HEIGHT = Quantity("m", -2e4, 1e7)
MIXING_RATIO = Quantity("1", 0.0, 1.0)
FLUX = Quantity("W m-2", -1e7, 1e7)
WIND = Quantity("m s-1", -2e4, 2e4)
