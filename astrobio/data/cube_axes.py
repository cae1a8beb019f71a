"""The axes of a climate cube in a file: which dimension is which, and the order its coordinate is brought into."""

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from astrobio.data.quantities import conversion
from astrobio.data.stored_arrays import StoredArray


class AxisKind(Enum):
    """The axes of a cube."""

    TIME = "time"
    LEVEL = "level"
    LATITUDE = "latitude"
    LONGITUDE = "longitude"


DIMENSION_NAMES: dict[str, AxisKind] = {
    **dict.fromkeys(("time", "t"), AxisKind.TIME),
    **dict.fromkeys(("level", "lev", "plev", "height", "altitude"), AxisKind.LEVEL),
    **dict.fromkeys(("lat", "latitude"), AxisKind.LATITUDE),
    **dict.fromkeys(("lon", "longitude"), AxisKind.LONGITUDE),
}
"""What a dimension of this name is, in lower case."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis in the order of the cube.

    Attributes:
        dimension: its name in the file; empty where the file does not have it.
        values: (n,), float64, its coordinate, sorted.
        order: (n,), int64: `values` is the file's coordinate at these places.
        unit: of `values`.
    """

    dimension: str
    values: Tensor
    order: Tensor
    unit: str


def read_axes(chosen: list[StoredArray], arrays: dict[str, StoredArray]) -> dict[AxisKind, Axis]:
    """The axes that the chosen variables share.

    Raises:
        ValueError: they differ in their dimensions, one is not known or there twice, latitude or longitude is not
            there, or a coordinate is missing, without a unit, not finite, not in order or out of range.
    """
    first = chosen[0]
    for array in chosen[1:]:
        if set(array.dimensions) != set(first.dimensions):
            raise ValueError(
                f"variable {array.name}: has dimensions {_listed(array)} and {first.name} has {_listed(first)}; "
                "load them one by one"
            )
    found: dict[AxisKind, str] = {}
    for dimension in first.dimensions:
        kind = DIMENSION_NAMES.get(dimension.lower())
        if kind is None:
            raise ValueError(
                f"variable {first.name}: dimension {dimension[:60]!r} is not one of a cube "
                f"({', '.join(DIMENSION_NAMES)}); select one element of it first, or rename it"
            )
        if kind in found:
            raise ValueError(
                f"variable {first.name}: both {found[kind]} and {dimension} are a {kind.value}; rename one"
            )
        found[kind] = dimension
    for kind in (AxisKind.LATITUDE, AxisKind.LONGITUDE):
        if kind not in found:
            raise ValueError(f"variable {first.name}: has no {kind.value} among its dimensions {_listed(first)}")
    sizes = dict(zip(first.dimensions, first.shape, strict=True))
    for array in chosen[1:]:
        if dict(zip(array.dimensions, array.shape, strict=True)) != sizes:
            raise ValueError(f"variable {array.name}: has shape {array.shape} where {first.name} has {first.shape}")
    return {kind: _axis(kind, found.get(kind), sizes, arrays) for kind in AxisKind}


def _axis(kind: AxisKind, dimension: str | None, sizes: dict[str, int], arrays: dict[str, StoredArray]) -> Axis:
    if dimension is None:
        nothing = torch.full((1,), float("nan"), dtype=torch.float64)
        return Axis("", nothing, torch.zeros(1, dtype=torch.int64), "")
    coordinate = arrays.get(dimension)
    if coordinate is None or coordinate.shape != (sizes[dimension],):
        raise ValueError(
            f"dimension {dimension}: there is no coordinate, a variable of its name and its length {sizes[dimension]}"
        )
    unit = coordinate.text("units")
    if unit is None:
        raise ValueError(f"coordinate {dimension}: has no units; give it the attribute units")
    values = coordinate.values()
    if not bool(values.isfinite().all()):
        raise ValueError(f"coordinate {dimension}: a value is missing or not finite")
    if kind is AxisKind.TIME:
        return _sorted(dimension, values, unit, descending=False, may_turn=False)
    if kind is AxisKind.LEVEL:
        return _level(coordinate, values, unit)
    return _angle(kind, dimension, values, unit)


def _angle(kind: AxisKind, dimension: str, values: Tensor, unit: str) -> Axis:
    expected = "degrees_north" if kind is AxisKind.LATITUDE else "degrees_east"
    known = conversion(unit)
    if known is None or known[0] != expected:
        raise ValueError(f"coordinate {dimension}: is in {unit[:40]!r} where {expected!r} is expected")
    low, high = (-90.0, 90.0) if kind is AxisKind.LATITUDE else (-180.0, 360.0)
    if bool(((values < low) | (values > high)).any()):
        raise ValueError(
            f"coordinate {dimension}: reaches from {values.min():g} to {values.max():g}, outside [{low:g}, {high:g}]"
        )
    if kind is AxisKind.LATITUDE:
        return _sorted(dimension, values, expected, descending=False)
    # A file may begin anywhere on the circle, but goes around it once and in one direction.
    around = values.remainder(360.0)
    around = around.masked_fill(around >= 360.0, 0.0)  # what is hardly below 0 rounds to 360
    order = around.argsort(stable=True)
    if bool((around[order].diff() <= 0).any()):
        raise ValueError(
            f"coordinate {dimension}: one longitude is there twice (360 and 0, or -180 and 180, are the same)"
        )
    turns = int((around.diff() < 0).sum()), int((around.diff() > 0).sum())
    if min(turns) > 1:
        raise ValueError(f"coordinate {dimension}: does not go around in one direction; sort the file by it")
    return Axis(dimension, around[order], order, expected)


def _level(coordinate: StoredArray, values: Tensor, unit: str) -> Axis:
    """From the ground up, where unit and the attribute `positive` (CF conventions 4.3) tell what is up."""
    known = conversion(unit)
    kept, factor, _ = known if known is not None else (unit, 1.0, 0.0)  # no unit of a level has an offset
    values = values * factor
    positive = (coordinate.text("positive") or "").lower()
    if kept == "Pa":
        if bool((values < 0).any()):
            raise ValueError(f"coordinate {coordinate.name}: a pressure is below 0")
        return _sorted(coordinate.name, values, kept, descending=True)
    if positive in ("up", "down"):
        return _sorted(coordinate.name, values, kept, descending=positive == "down")
    if kept == "m":
        return _sorted(coordinate.name, values, kept, descending=False)
    if unit.strip() in ("1", "level", "layer", "sigma_level", ""):
        raise ValueError(
            f"coordinate {coordinate.name}: is in {unit!r}, which does not tell what is up; "
            "give it the attribute positive, 'up' or 'down'"
        )
    raise ValueError(f"coordinate {coordinate.name}: is in {unit[:40]!r}, which is neither a pressure nor a height")


def _sorted(dimension: str, values: Tensor, unit: str, *, descending: bool, may_turn: bool = True) -> Axis:
    """The axis in this order; a file may have it the other way round where `may_turn` says so."""
    rising = bool((values.diff() > 0).all())
    falling = bool((values.diff() < 0).all())
    if not rising and not (falling and may_turn):
        raise ValueError(f"coordinate {dimension}: is not in order, or a value is there twice; sort the file by it")
    order = torch.arange(len(values))
    if rising == descending and len(values) > 1:
        order = order.flip(0)
    return Axis(dimension, values[order], order, unit)


def _listed(array: StoredArray) -> str:
    return "(" + ", ".join(array.dimensions) + ")"
