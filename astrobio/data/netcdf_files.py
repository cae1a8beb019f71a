"""The variables of a netCDF file, classic or netCDF4.

The classic formats are read by `astrobio.data.netcdf_classic`. A netCDF4 file is an HDF5 file: h5py reads HDF5, and
h5netcdf knows how netCDF4 writes its dimensions in it. The two are lighter than netCDF4-python, and show what a file
from elsewhere must not do: an HDF5 file can name other files of the machine to take its values from.

The limit of that: HDF5's own library is C and trusts the inside of a file. One byte changed in the right place makes it
loop for ever (seen with HDF5 2.0 on a heap of strings), so read files from strangers in a process that can be ended.
"""

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrobio.data.files import FileKind, require_data_file
from astrobio.data.netcdf_classic import ClassicVariable, read_header, read_values
from astrobio.data.stored_arrays import MAX_VALUES, StoredArray, plain_attribute

NETCDF_KINDS = frozenset({FileKind.NETCDF_CLASSIC, FileKind.NETCDF4})

ATTRIBUTES = ("units", "positive", "_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned")
"""The attributes that are read from HDF5: what is not needed cannot harm."""

# What netCDF fills a variable with that was never written (netcdf.h, NC_FILL_*). One byte types have no such value.
_DEFAULT_FILL = {
    "i2": -32767.0,
    "i4": -2147483647.0,
    "i8": -9223372036854775806.0,
    "u2": 65535.0,
    "u4": 4294967295.0,
    "u8": 18446744073709551614.0,
    "f4": 9.969209968386869e36,
    "f8": 9.969209968386869e36,
}


@contextmanager
def open_netcdf(path: Path, *, max_bytes: int) -> Iterator[dict[str, StoredArray]]:
    """The variables of the file's root group; they can be read until the context ends.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see `require_data_file`; or the file is damaged.
        ImportError: it is a netCDF4 file and h5py or h5netcdf is not installed.
    """
    if require_data_file(path, expected=NETCDF_KINDS, max_bytes=max_bytes) is FileKind.NETCDF_CLASSIC:
        header = read_header(path)
        yield {name: _classic_array(path, name, variable) for name, variable in header.variables.items()}
        return
    h5py, h5netcdf = import_hdf5()
    try:
        file = h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise damaged(path, error) from error
    with file:
        try:
            arrays = _hdf5_arrays(path, file, h5py, h5netcdf)
        except (OSError, RuntimeError, KeyError, AttributeError, TypeError) as error:
            raise damaged(path, error) from error
        yield arrays


def import_hdf5() -> tuple[Any, Any]:
    """(h5py, h5netcdf).

    Raises:
        ImportError: one of them is not installed.
    """
    try:
        return importlib.import_module("h5py"), importlib.import_module("h5netcdf")
    except ImportError as error:
        raise ImportError(
            "netCDF4 files need h5py and h5netcdf: pip install 'astrobio-audit[cubes]' (classic netCDF needs neither)"
        ) from error


def damaged(path: Path, error: Exception) -> ValueError:
    """The one line that says that a library could not make sense of a file."""
    reason = " ".join(str(error).split())[:200]
    return ValueError(f"{path}: the file is damaged or not what its name says ({reason}); download it again")


def _classic_array(path: Path, name: str, variable: ClassicVariable) -> StoredArray:
    return StoredArray(
        name=name,
        dimensions=variable.dimensions,
        shape=variable.shape,
        attributes=variable.attributes,
        missing=_missing(variable.attributes, np.dtype(variable.dtype)),
        read=lambda: read_values(path, variable),
    )


def _hdf5_arrays(path: Path, file: Any, h5py: Any, h5netcdf: Any) -> dict[str, StoredArray]:
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{path}: {name!r} is a link to another place, which is not followed; copy the data in")
    arrays = {}
    netcdf = h5netcdf.File(file, "r")
    for name, variable in netcdf.variables.items():
        dataset = file.get(name)
        if not isinstance(dataset, h5py.Dataset):
            continue
        attributes = {
            key: plain
            for key in ATTRIBUTES
            if key in variable.attrs and (plain := plain_attribute(variable.attrs[key])) is not None
        }
        arrays[name] = StoredArray(
            name=name,
            dimensions=tuple(variable.dimensions),
            shape=tuple(dataset.shape),
            attributes=attributes,
            missing=_missing(attributes, dataset.dtype),
            read=partial(_read_hdf5, path, dataset),
        )
    return arrays


def _read_hdf5(path: Path, dataset: Any) -> NDArray[np.generic]:
    if dataset.external or dataset.is_virtual:
        raise ValueError(
            f"{path}: variable {dataset.name.strip('/')} takes its values from other files, which are not read; "
            "copy the data into one file"
        )
    if math.prod(dataset.chunks or ()) > MAX_VALUES:
        raise ValueError(f"{path}: variable {dataset.name.strip('/')} has chunks {dataset.chunks} too large to unpack")
    try:
        values: NDArray[np.generic] = np.asarray(dataset[...])
    except (OSError, RuntimeError, TypeError) as error:
        raise damaged(path, error) from error
    return values


def _missing(attributes: dict[str, str | tuple[float, ...]], dtype: np.dtype[np.generic]) -> tuple[float, ...]:
    declared = [value for key in ("_FillValue", "missing_value") for value in _numbers(attributes.get(key))]
    if "_FillValue" not in attributes and dtype.str[1:] in _DEFAULT_FILL:
        declared.append(_DEFAULT_FILL[dtype.str[1:]])
    return tuple(declared)


def _numbers(value: str | tuple[float, ...] | None) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else ()
