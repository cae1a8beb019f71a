"""Climate cubes from netCDF and zarr files, in one order of dimensions and in SI units whatever the file has."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import torch
from torch import Tensor

from astrobio.data.cube_axes import Axis, AxisKind, read_axes
from astrobio.data.files import HDF5_SIGNATURE
from astrobio.data.netcdf_classic import MAGIC
from astrobio.data.netcdf_files import open_netcdf
from astrobio.data.quantities import Quantity, conversion, spellings
from astrobio.data.stored_arrays import MAX_VALUES, StoredArray
from astrobio.data.zarr_stores import open_zarr

MAX_BYTES = 4 * 2**30
"""The size of a file or store above which it is refused unless the caller says more."""

_ORDER = (AxisKind.TIME, AxisKind.LEVEL, AxisKind.LATITUDE, AxisKind.LONGITUDE)


class Missing(Enum):
    """What happens to missing values."""

    REFUSE = "refuse"
    MASK = "mask"


@dataclass(frozen=True, eq=False)
class ClimateCube:
    """Variables over time, level, latitude and longitude.

    A dimension that the file does not have is of size 1, and its coordinate is NaN.

    Attributes:
        variables: their names.
        units: the unit of each.
        values: (variables, time, level, latitude, longitude), float64; NaN where `present` is False.
        present: bool, of that shape.
        time: (time,), float64, ascending, in `time_units` as the file has them ("days since 2000-01-01").
        level: (level,), float64, from the ground up, in `level_units`: Pa, m, "1", or as the file has them.
        latitude_deg: (latitude,), float64, from south to north, degrees in [-90, 90].
        longitude_deg: (longitude,), float64, eastward, degrees in [0, 360).
        time_units: empty where the file has no time.
        level_units: empty where the file has no level.

    Raises:
        ValueError: shapes do not belong together.
    """

    variables: tuple[str, ...]
    units: tuple[str, ...]
    values: Tensor
    present: Tensor
    time: Tensor
    level: Tensor
    latitude_deg: Tensor
    longitude_deg: Tensor
    time_units: str
    level_units: str

    def __post_init__(self) -> None:
        """Refuse tensors that do not form a cube."""
        axes = (self.time, self.level, self.latitude_deg, self.longitude_deg)
        shape = (len(self.variables), *(axis.numel() for axis in axes))
        if self.values.shape != shape or self.present.shape != shape or len(self.units) != len(self.variables):
            raise ValueError(
                f"a cube with {len(self.units)} units and these coordinates has values and mask of shape {shape}; got "
                f"{tuple(self.values.shape)} and {tuple(self.present.shape)}"
            )


def load_climate_cube(
    path: str | Path,
    variables: Mapping[str, Quantity],
    *,
    missing: Missing = Missing.REFUSE,
    max_bytes: int = MAX_BYTES,
) -> ClimateCube:
    """Some variables of a file as one cube.

    A folder or a zip file is read as zarr, anything else as netCDF. Dimensions are recognised by their names (time,
    level or lev, lat or latitude, lon or longitude, and a few more; see `cube_axes`). Times are not decoded.

    Args:
        path: of the file or store.
        variables: the variables to load, in this order, and what each is. A unit that differs from the quantity's is
            converted where the conversion is known.
        missing: whether a missing value is an error or masked.
        max_bytes: files and stores above it are refused.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: the library for the format is not installed; the message says which and how.
        ValueError: the file is not a whole data file, lacks a variable or a unit, has a unit that is not known or
            dimensions that are not those of a cube, or a value is out of range or missing. One line: file, variable,
            what is wrong, what to do.
    """
    path = Path(path)
    if not variables:
        raise ValueError(f"{path}: name at least one variable to load")
    is_zarr = path.is_dir() or (path.is_file() and _starts(path).startswith(b"PK"))
    with (open_zarr if is_zarr else open_netcdf)(path, max_bytes=max_bytes) as arrays:
        try:
            return _cube(arrays, variables, missing)
        except ValueError as error:
            raise ValueError(_one_line(path, str(error))) from error


def _starts(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(max(len(HDF5_SIGNATURE), len(MAGIC[0])))


def _one_line(path: Path, message: str) -> str:
    text = " ".join(message.split())
    return text if text.startswith(str(path)) else f"{path}: {text}"


def _cube(arrays: dict[str, StoredArray], variables: Mapping[str, Quantity], missing: Missing) -> ClimateCube:
    chosen = [_named(arrays, name) for name in variables]
    axes = read_axes(chosen, arrays)
    num_values = len(chosen) * math.prod(len(axes[kind].values) for kind in _ORDER)
    if num_values > MAX_VALUES:
        raise ValueError(f"the variables have {num_values:,} values together, above {MAX_VALUES:,}; load fewer at once")
    layers = []
    for array, (name, quantity) in zip(chosen, variables.items(), strict=True):
        layer = _in_order(_in_unit(array, quantity), array, axes)
        _require_in_range(layer, name, quantity, axes)
        layers.append(layer)
    values = torch.stack(layers)
    present = ~values.isnan()
    if missing is Missing.REFUSE and not bool(present.all()):
        index = (~present).nonzero()[0].tolist()
        raise ValueError(
            f"variable {chosen[index[0]].name}: {int((~present).sum()):,} values are missing, the first at "
            f"{_place(axes, index[1:])}; fill them, or ask for missing=Missing.MASK"
        )
    return ClimateCube(
        variables=tuple(variables),
        units=tuple(quantity.unit for quantity in variables.values()),
        values=values,
        present=present,
        time=axes[AxisKind.TIME].values,
        level=axes[AxisKind.LEVEL].values,
        latitude_deg=axes[AxisKind.LATITUDE].values,
        longitude_deg=axes[AxisKind.LONGITUDE].values,
        time_units=axes[AxisKind.TIME].unit,
        level_units=axes[AxisKind.LEVEL].unit,
    )


def _named(arrays: dict[str, StoredArray], name: str) -> StoredArray:
    if name not in arrays:
        known = ", ".join(sorted(arrays)[:20]) or "none"
        raise ValueError(f"there is no variable {name}; the file has {known}")
    return arrays[name]


def _in_unit(array: StoredArray, quantity: Quantity) -> Tensor:
    unit = array.text("units")
    if unit is None:
        raise ValueError(f"variable {array.name}: has no units; give it the attribute units, such as {quantity.unit!r}")
    known = conversion(unit)
    if known is None or known[0] != quantity.unit:
        raise ValueError(
            f"variable {array.name}: is in {unit[:40]!r} where {quantity.unit!r} is expected; "
            f"known for it are {', '.join(spellings(quantity.unit))}"
        )
    _, factor, offset = known
    values = array.values()
    return values if (factor, offset) == (1.0, 0.0) else values * factor + offset


def _in_order(values: Tensor, array: StoredArray, axes: dict[AxisKind, Axis]) -> Tensor:
    """(time, level, latitude, longitude), each in the order of its axis."""
    present = [kind for kind in _ORDER if axes[kind].dimension in array.dimensions]
    values = values.permute([array.dimensions.index(axes[kind].dimension) for kind in present])
    for place, kind in enumerate(_ORDER):
        is_there = kind in present
        values = values.index_select(place, axes[kind].order) if is_there else values.unsqueeze(place)
    return values


def _require_in_range(values: Tensor, name: str, quantity: Quantity, axes: dict[AxisKind, Axis]) -> None:
    outside = ~values.isnan() & ~((values >= quantity.low) & (values <= quantity.high))
    if bool(outside.any()):
        index = outside.nonzero()[0].tolist()
        raise ValueError(
            f"variable {name}: {float(values[tuple(index)]):g} {quantity.unit} at {_place(axes, index)} is outside "
            f"[{quantity.low:g}, {quantity.high:g}] ({int(outside.sum()):,} of {values.numel():,} values are); "
            "check the unit and what stands for missing values"
        )


def _place(axes: dict[AxisKind, Axis], index: list[int]) -> str:
    """Where a value is, by the coordinates and by the index in the cube."""
    return ", ".join(
        f"{kind.value} {float(axes[kind].values[at]):g}"
        for kind, at in zip(_ORDER, index, strict=True)
        if axes[kind].dimension
    )
