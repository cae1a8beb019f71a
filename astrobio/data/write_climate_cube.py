"""Climate cubes to netCDF4 and zarr files, as CF readers and `load_climate_cube` understand them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrobio.data.climate_cube_files import ClimateCube
from astrobio.data.netcdf_files import import_hdf5
from astrobio.data.zarr_stores import import_zarr

_DIMENSIONS = ("time", "level", "latitude", "longitude")


def write_netcdf(cube: ClimateCube, path: str | Path) -> None:
    """A netCDF4 file in float64, NaN for what is missing; a file that is there is an error.

    Raises:
        FileExistsError: there is something at `path`.
        ImportError: h5py or h5netcdf is not installed.
    """
    path = Path(path)
    _require_free(path)
    _, h5netcdf = import_hdf5()
    with h5netcdf.File(path, "w") as file:
        for name, (coordinate, attributes) in _coordinates(cube).items():
            file.dimensions[name] = len(coordinate)
            file.create_variable(name, (name,), data=coordinate).attrs.update(attributes)
        for name, values, attributes in _variables(cube):
            file.create_variable(name, _dimensions(cube), data=values, fillvalue=np.nan).attrs.update(attributes)


def write_zarr(cube: ClimateCube, path: str | Path, *, zarr_format: int = 3) -> None:
    """A zarr store in float64, NaN for what is missing: a folder, or a zip file where `path` ends in `.zip`.

    Raises:
        FileExistsError: there is something at `path`.
        ValueError: `zarr_format` is not 2 or 3.
        ImportError: zarr is not installed.
    """
    path = Path(path)
    _require_free(path)
    if zarr_format not in (2, 3):
        raise ValueError(f"zarr_format must be 2 or 3, got {zarr_format}")
    zarr = import_zarr()
    store = zarr.storage.ZipStore(path, mode="w") if path.suffix == ".zip" else zarr.storage.LocalStore(path)
    try:
        group = zarr.create_group(store, zarr_format=zarr_format)
        for name, (coordinate, attributes) in _coordinates(cube).items():
            _put(group, name, coordinate, (name,), attributes, zarr_format)
        for name, values, attributes in _variables(cube):
            _put(group, name, values, _dimensions(cube), attributes, zarr_format)
    finally:
        store.close()


def _put(
    group: Any,
    name: str,
    values: NDArray[np.float64],
    dimensions: tuple[str, ...],
    attributes: dict[str, str],
    zarr_format: int,
) -> None:
    named: dict[str, Any] = {"_ARRAY_DIMENSIONS": list(dimensions)} if zarr_format == 2 else {}
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        dimension_names=None if zarr_format == 2 else dimensions,
        fill_value=float("nan"),
        attributes={**attributes, **named},
    )
    array[...] = values


def _require_free(path: Path) -> None:
    if path.exists():
        raise FileExistsError(f"{path}: something is there already; remove it, or choose another name")


def _dimensions(cube: ClimateCube) -> tuple[str, ...]:
    return tuple(_coordinates(cube))


def _coordinates(cube: ClimateCube) -> dict[str, tuple[NDArray[np.float64], dict[str, str]]]:
    """The coordinates that the cube has, outermost first, with their attributes."""
    found = {
        "time": (cube.time, {"units": cube.time_units}),
        "level": (cube.level, {"units": cube.level_units, "positive": "down" if _falls(cube) else "up"}),
        "latitude": (cube.latitude_deg, {"units": "degrees_north"}),
        "longitude": (cube.longitude_deg, {"units": "degrees_east"}),
    }
    return {name: (values.numpy(), attributes) for name, (values, attributes) in found.items() if attributes["units"]}


def _falls(cube: ClimateCube) -> bool:
    """Whether the level's coordinate falls from the ground up; of a single level, pressure does."""
    return bool(cube.level[0] > cube.level[-1]) or (len(cube.level) == 1 and cube.level_units == "Pa")


def _variables(cube: ClimateCube) -> list[tuple[str, NDArray[np.float64], dict[str, str]]]:
    kept = [size for size, name in enumerate(_DIMENSIONS) if name in _coordinates(cube)]
    shape = [cube.values.shape[1:][axis] for axis in kept]  # what the file does not have is of size 1
    return [
        (name, cube.values[index].reshape(shape).numpy(), {"units": unit})
        for index, (name, unit) in enumerate(zip(cube.variables, cube.units, strict=True))
    ]
