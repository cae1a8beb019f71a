"""The parameters that set a planet's climate, and their physical limits."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

SOLAR_CONSTANT_W_M2 = 1361.0  # Kopp & Lean 2011
MAX_ECCENTRICITY = 0.5  # above it, equal time steps resolve the passage through perihelion too coarsely


@dataclass(frozen=True, eq=False)
class PlanetParameters:
    """A batch of planets; every attribute is a floating-point tensor of shape (B,), all of one dtype.

    Attributes:
        instellation: stellar flux at the semi-major axis relative to Earth's 1361 W/m2.
        obliquity_deg: angle between the spin axis and the orbit's normal, degrees in [0, 90].
        eccentricity: of the orbit, in [0, 0.5].
        perihelion_longitude_deg: the star's ecliptic longitude seen from the planet at perihelion, in degrees from
            the northern vernal equinox: 270 is northern winter solstice, Earth has 283.
        co2_ppm: volume mixing ratio of CO2, parts per million.
        diffusivity: meridional heat transport coefficient, W/m2/K.
        mixed_layer_depth_m: depth of the ocean layer that exchanges heat with the seasons, metres.

    Raises:
        TypeError: an attribute is not floating point, or dtypes differ.
        ValueError: an attribute is not (B,), or sizes differ.
    """

    instellation: Tensor
    obliquity_deg: Tensor
    eccentricity: Tensor
    perihelion_longitude_deg: Tensor
    co2_ppm: Tensor
    diffusivity: Tensor
    mixed_layer_depth_m: Tensor

    def __post_init__(self) -> None:
        """Refuse tensors that do not form a batch; values are checked by `require_physical`."""
        first = self.instellation
        for name in PARAMETER_NAMES:
            tensor: Tensor = getattr(self, name)
            if not tensor.is_floating_point() or tensor.dtype != first.dtype:
                raise TypeError(f"{name} must be floating point like the others, got {tensor.dtype} and {first.dtype}")
            if tensor.dim() != 1 or tensor.shape != first.shape:
                raise ValueError(f"{name} must have shape (B,) like the others, got {tuple(tensor.shape)}")

    @classmethod
    def from_tensor(cls, table: Tensor) -> "PlanetParameters":
        """Planets from a (B, 7) table whose columns are `PARAMETER_NAMES`.

        Raises:
            ValueError: the table has another shape.
        """
        if table.dim() != 2 or table.shape[1] != len(PARAMETER_NAMES):
            raise ValueError(
                f"planet parameters must be (B, {len(PARAMETER_NAMES)}) with columns {', '.join(PARAMETER_NAMES)}; "
                f"got {tuple(table.shape)}"
            )
        return cls(*table.unbind(dim=1))

    def to_tensor(self) -> Tensor:
        """The (B, 7) table whose columns are `PARAMETER_NAMES`."""
        return torch.stack([getattr(self, name) for name in PARAMETER_NAMES], dim=1)

    def require_physical(self) -> None:
        """Check the value of every parameter.

        Raises:
            ValueError: a value is not finite or outside the physical limits; the message names planet and parameter.
        """
        for name, (low, high, low_is_open) in _LIMITS.items():
            values: Tensor = getattr(self, name)
            below = values <= low if low_is_open else values < low
            bad = (~values.isfinite() | below | (values > high)).nonzero()
            if len(bad):
                index = int(bad[0])
                bracket = "(" if low_is_open else "["
                raise ValueError(
                    f"{name} of planet {index} is {float(values[index])}, outside the physical range "
                    f"{bracket}{low:g}, {high:g}]"
                )


PARAMETER_NAMES: tuple[str, ...] = tuple(parameter.name for parameter in fields(PlanetParameters))
"""The parameters in the order of the columns of a parameter table."""

PARAMETER_UNITS: dict[str, str] = {
    "instellation": "relative to 1361 W/m2",
    "obliquity_deg": "degree",
    "eccentricity": "1",
    "perihelion_longitude_deg": "degree from the northern vernal equinox",
    "co2_ppm": "parts per million by volume",
    "diffusivity": "W/m2/K",
    "mixed_layer_depth_m": "m",
}
"""The unit of each parameter."""

SCALED_PARAMETERS = tuple(name for name in PARAMETER_NAMES if name != "perihelion_longitude_deg")
"""Those that enter a model scaled to [-1, 1]; longitude of perihelion is an angle and enters by sine and cosine."""

_INFINITY = float("inf")
# name -> (low, high, whether low itself is excluded)
_LIMITS: dict[str, tuple[float, float, bool]] = {
    "instellation": (0.0, _INFINITY, True),
    "obliquity_deg": (0.0, 90.0, False),
    "eccentricity": (0.0, MAX_ECCENTRICITY, False),
    "perihelion_longitude_deg": (0.0, 360.0, False),
    "co2_ppm": (0.0, 1e6, True),
    "diffusivity": (0.0, _INFINITY, False),
    "mixed_layer_depth_m": (0.0, _INFINITY, True),
}


def earth() -> PlanetParameters:
    """One planet, in float64, with Earth's orbit (Berger 1978, for 1950) and an all-ocean surface.

    CO2 is the 330 ppm of the 1970s, in which the infrared fit of the model was made; diffusivity and mixed layer are
    those usual for this kind of model (North, Cahalan & Coakley 1981).
    """
    values = (1.0, 23.446, 0.016724, 282.04, 330.0, EARTH_DIFFUSIVITY, 50.0)
    return PlanetParameters.from_tensor(torch.tensor([values], dtype=torch.float64))


EARTH_DIFFUSIVITY = 0.55  # W/m2/K
