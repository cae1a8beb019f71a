import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from astrobio.data.climate_cube_files import ClimateCube, Missing, load_climate_cube
from astrobio.data.quantities import MIXING_RATIO, TEMPERATURE
from astrobio.data.write_climate_cube import write_netcdf

HAS_HDF5 = all(importlib.util.find_spec(name) is not None for name in ("h5py", "h5netcdf"))
needs_hdf5 = pytest.mark.skipif(not HAS_HDF5, reason="needs h5py and h5netcdf: pip install 'astrobio-audit[cubes]'")
EXPECTED = {"ta": TEMPERATURE, "hus": MIXING_RATIO}


def with_a_hole(cube: ClimateCube) -> ClimateCube:
    values = cube.values.clone()
    values[1, 0, 1, 2, 3] = torch.nan
    return ClimateCube(**{**vars(cube), "values": values, "present": ~values.isnan()})


@needs_hdf5
def test_a_cube_is_read_back_as_it_was_written(
    tmp_path: Path, cube: ClimateCube, assert_same_cube: Callable[..., None]
) -> None:
    write_netcdf(cube, tmp_path / "cube.nc")
    assert_same_cube(load_climate_cube(tmp_path / "cube.nc", EXPECTED), cube)


@needs_hdf5
def test_missing_values_are_missing_again(
    tmp_path: Path, cube: ClimateCube, assert_same_cube: Callable[..., None]
) -> None:
    holed = with_a_hole(cube)
    write_netcdf(holed, tmp_path / "cube.nc")
    assert_same_cube(load_climate_cube(tmp_path / "cube.nc", EXPECTED, missing=Missing.MASK), holed)
    with pytest.raises(ValueError, match="variable hus: 1 values are missing"):
        load_climate_cube(tmp_path / "cube.nc", EXPECTED)


@needs_hdf5
def test_a_cube_without_time_and_level_is_read_back(
    tmp_path: Path, surface_cube: ClimateCube, assert_same_cube: Callable[..., None]
) -> None:
    write_netcdf(surface_cube, tmp_path / "cube.nc")
    assert_same_cube(load_climate_cube(tmp_path / "cube.nc", {"ta": TEMPERATURE}), surface_cube)


@needs_hdf5
@pytest.mark.parametrize("levels", [[0.9, 0.5, 0.1], [0.1, 0.5, 0.9]], ids=["falling", "rising"])
def test_levels_whose_unit_does_not_tell_what_is_up_are_read_back(
    tmp_path: Path, cube: ClimateCube, assert_same_cube: Callable[..., None], levels: list[float]
) -> None:
    level = torch.tensor(levels, dtype=torch.float64)
    sigma = ClimateCube(**{**vars(cube), "level": level, "level_units": "1"})
    write_netcdf(sigma, tmp_path / "cube.nc")
    assert_same_cube(load_climate_cube(tmp_path / "cube.nc", EXPECTED), sigma)


@needs_hdf5
def test_nothing_is_replaced(tmp_path: Path, cube: ClimateCube) -> None:
    (tmp_path / "cube.nc").write_text("precious")
    with pytest.raises(FileExistsError, match="something is there already"):
        write_netcdf(cube, tmp_path / "cube.nc")
    assert (tmp_path / "cube.nc").read_text() == "precious"


@needs_hdf5
@pytest.mark.parametrize("kept", [0.99, 0.5, 0.01])
def test_a_file_cut_short_is_refused(tmp_path: Path, cube: ClimateCube, kept: float) -> None:
    path = tmp_path / "cube.nc"
    write_netcdf(cube, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=r"cube\.nc: a netCDF4 \(HDF5\) file cut short"):
        load_climate_cube(path, EXPECTED)


@needs_hdf5
def test_an_hdf5_file_that_is_damaged_inside_is_refused_in_one_line(tmp_path: Path, cube: ClimateCube) -> None:
    path = tmp_path / "cube.nc"
    write_netcdf(cube, path)
    content = bytearray(path.read_bytes())
    content[48:400] = b"\xff" * 352
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cube\.nc: the file is damaged or not what its name says") as error:
        load_climate_cube(path, EXPECTED)
    assert len(str(error.value).splitlines()) == 1


@pytest.fixture
def with_secret(tmp_path: Path, cube: ClimateCube) -> Callable[..., Path]:
    """A cube whose temperature is replaced, by `change(file, old dataset, a file elsewhere)`."""
    h5py: Any = importlib.import_module("h5py")

    def replace(change: Callable[..., None]) -> Path:
        path, secret = tmp_path / "cube.nc", tmp_path / "secret.h5"
        write_netcdf(cube, path)
        with h5py.File(secret, "w") as file:
            file["ta"] = np.full(cube.values.shape[1:], 250.0)
        with h5py.File(path, "r+", track_order=True) as file:
            scales = [file[name] for name in ("time", "level", "latitude", "longitude")]
            del file["ta"]
            change(file, cube.values.shape[1:], secret)
            if isinstance(file.get("ta", getlink=True), h5py.HardLink):
                file["ta"].attrs["units"] = "K"
                for dimension, scale in zip(file["ta"].dims, scales, strict=True):
                    dimension.attach_scale(scale)
        return path

    return replace


@needs_hdf5
def test_values_that_lie_in_another_file_are_not_read(with_secret: Callable[..., Path]) -> None:
    def external(file: Any, shape: tuple[int, ...], secret: Path) -> None:
        file.create_dataset("ta", shape=shape, dtype="f8", external=[(str(secret), 0, 8 * int(np.prod(shape)))])

    with pytest.raises(ValueError, match="variable ta takes its values from other files, which are not read"):
        load_climate_cube(with_secret(external), {"ta": TEMPERATURE})


@needs_hdf5
def test_a_virtual_variable_is_not_read(with_secret: Callable[..., Path]) -> None:
    h5py: Any = importlib.import_module("h5py")

    def virtual(file: Any, shape: tuple[int, ...], secret: Path) -> None:
        layout = h5py.VirtualLayout(shape=shape, dtype="f8")
        layout[...] = h5py.VirtualSource(str(secret), "ta", shape=shape)
        file.create_virtual_dataset("ta", layout)

    with pytest.raises(ValueError, match="variable ta takes its values from other files, which are not read"):
        load_climate_cube(with_secret(virtual), {"ta": TEMPERATURE})


@needs_hdf5
def test_a_link_to_another_file_is_not_followed(with_secret: Callable[..., Path]) -> None:
    h5py: Any = importlib.import_module("h5py")

    def link(file: Any, shape: tuple[int, ...], secret: Path) -> None:
        file["ta"] = h5py.ExternalLink(str(secret), "/ta")

    with pytest.raises(ValueError, match="'ta' is a link to another place, which is not followed"):
        load_climate_cube(with_secret(link), {"ta": TEMPERATURE})


@needs_hdf5
def test_chunks_too_large_to_unpack_are_refused(
    tmp_path: Path, cube: ClimateCube, monkeypatch: pytest.MonkeyPatch, with_secret: Callable[..., Path]
) -> None:
    def chunked(file: Any, shape: tuple[int, ...], secret: Path) -> None:
        file.create_dataset("ta", shape=shape, maxshape=(None, *shape[1:]), chunks=(10**6, *shape[1:]), dtype="f8")

    monkeypatch.setattr("astrobio.data.netcdf_files.MAX_VALUES", 10**6)
    with pytest.raises(ValueError, match=r"variable ta has chunks \(1000000, .* too large to unpack"):
        load_climate_cube(with_secret(chunked), {"ta": TEMPERATURE})


@pytest.mark.parametrize("missing", ["h5py", "h5netcdf"])
def test_without_the_libraries_the_message_says_what_to_install(
    tmp_path: Path, cube: ClimateCube, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    path = tmp_path / "cube.nc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n\x02\x08\x08\0" + bytes(40))
    for attempt in (lambda: load_climate_cube(path, EXPECTED), lambda: write_netcdf(cube, tmp_path / "other.nc")):
        with pytest.raises(ImportError, match=r"need h5py and h5netcdf: pip install 'astrobio-audit\[cubes\]'"):
            attempt()
