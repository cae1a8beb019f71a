import base64
import importlib.util
import json
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from astrobio.data.climate_cube_files import ClimateCube, Missing, load_climate_cube
from astrobio.data.quantities import MIXING_RATIO, TEMPERATURE
from astrobio.data.write_climate_cube import write_zarr

HAS_ZARR = importlib.util.find_spec("zarr") is not None
needs_zarr = pytest.mark.skipif(not HAS_ZARR, reason="needs zarr: pip install 'astrobio-audit[cubes]'")
EXPECTED = {"ta": TEMPERATURE, "hus": MIXING_RATIO}
ONE = {"ta": TEMPERATURE}


@pytest.fixture
def edit(tmp_path: Path, cube: ClimateCube) -> Callable[..., Path]:
    """A store whose description of `ta` was changed by `change(description)`."""

    def edit_description(change: Callable[[dict[str, Any]], object], zarr_format: int = 3) -> Path:
        path = tmp_path / "cube.zarr"
        write_zarr(cube, path, zarr_format=zarr_format)
        described = path / "ta" / ("zarr.json" if zarr_format == 3 else ".zarray")
        description = json.loads(described.read_text())
        change(description)
        described.write_text(json.dumps(description))
        return path

    return edit_description


@needs_zarr
@pytest.mark.parametrize("name", ["cube.zarr", "cube.zip"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_cube_is_read_back_as_it_was_written(
    tmp_path: Path, cube: ClimateCube, assert_same_cube: Callable[..., None], name: str, zarr_format: int
) -> None:
    write_zarr(cube, tmp_path / name, zarr_format=zarr_format)
    assert_same_cube(load_climate_cube(tmp_path / name, EXPECTED), cube)


@needs_zarr
def test_a_cube_without_time_and_level_is_read_back(
    tmp_path: Path, surface_cube: ClimateCube, assert_same_cube: Callable[..., None]
) -> None:
    write_zarr(surface_cube, tmp_path / "cube.zarr")
    assert_same_cube(load_climate_cube(tmp_path / "cube.zarr", ONE), surface_cube)


@needs_zarr
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_chunk_that_is_absent_is_missing_where_the_fill_value_says_so(
    edit: Callable[..., Path], zarr_format: int
) -> None:
    path = edit(lambda description: None, zarr_format)
    chunk = path / "ta" / ("c/0/0/0/0" if zarr_format == 3 else "0.0.0.0")
    chunk.unlink()
    with pytest.raises(ValueError, match=r"variable ta: .* values are missing"):
        load_climate_cube(path, ONE)
    assert not bool(load_climate_cube(path, ONE, missing=Missing.MASK).present.any())


@needs_zarr
def test_the_fill_value_of_format_2_stands_for_missing_values_unless_it_is_0(edit: Callable[..., Path]) -> None:
    path = edit(lambda description: description.update(fill_value=200.0), 2)
    assert int((~load_climate_cube(path, ONE, missing=Missing.MASK).present).sum()) == 1
    described = path / "longitude" / ".zarray"
    described.write_text(json.dumps({**json.loads(described.read_text()), "fill_value": 0.0}))
    assert load_climate_cube(path, ONE, missing=Missing.MASK).longitude_deg[0] == 0.0


@needs_zarr
def test_a_chunk_that_is_absent_is_refused_where_it_would_read_as_a_number(edit: Callable[..., Path]) -> None:
    path = edit(lambda description: description.update(fill_value=280.0))
    (path / "ta/c/0/0/0/0").unlink()
    with pytest.raises(ValueError, match="array ta: 1 of 1 chunks are absent and would read as 280"):
        load_climate_cube(path, ONE)


@needs_zarr
def test_a_fill_value_that_xarray_wrote_as_base64_is_understood(edit: Callable[..., Path]) -> None:
    def mark(description: dict[str, Any]) -> None:
        first = float(torch.tensor(description["attributes"].pop("first")))
        description["attributes"]["_FillValue"] = base64.b64encode(struct.pack("<d", first)).decode()

    path = edit(lambda description: description["attributes"].update(first=200.0))
    described = path / "ta" / "zarr.json"
    description = json.loads(described.read_text())
    mark(description)
    described.write_text(json.dumps(description))
    present = load_climate_cube(path, ONE, missing=Missing.MASK).present
    assert int((~present).sum()) == 1  # the first value of the fixture is 200
    description["attributes"]["_FillValue"] = "???"
    described.write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"array ta: _FillValue '\?\?\?' is not understood"):
        load_climate_cube(path, ONE)


@needs_zarr
@pytest.mark.parametrize(
    ("zarr_format", "change", "message"),
    [
        (2, {"filters": [{"id": "pickle"}]}, "needs 'pickle' to unpack"),
        (2, {"filters": [{"id": "pickle"}], "dtype": "|O"}, "holds '|O', not numbers"),
        (2, {"compressor": {"id": "made_up"}}, "needs 'made_up' to unpack"),
        (2, {"filters": 5}, "needs '5' to unpack"),
        (2, {"dtype": [["a", "<f8"]]}, "not numbers"),
        (2, {"chunks": [10**6, 10**6, 1, 1]}, "too large to unpack"),
        (3, {"data_type": "string"}, "holds 'string', not numbers"),
        (3, {"codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle"}]}, "needs 'numcodecs.pickle' to unpack"),
        (
            3,
            {"codecs": [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "made_up"}]}}]},
            "needs 'made_up' to unpack",
        ),
        (3, {"storage_transformers": [{"name": "x"}]}, "needs 'storage_transformers' to unpack"),
        (3, {"chunk_grid": {"name": "made_up"}}, "are not regular"),
        (3, {"shape": "large"}, "has no shape; the store is damaged"),
        (
            3,
            {"shape": [10**6, 10**6, 10**6, 10**6]},
            "there is no coordinate, a variable of its name and its length 1000000",
        ),
        (3, {"shape": [-1, 1, 1, 1]}, "of its name and its length -1"),
        (3, {"dimension_names": None}, "which has no name"),
        (3, {"codecs": [{"name": "bytes", "configuration": {"endian": "sideways"}}]}, "the file is damaged"),
    ],
)
def test_a_description_that_asks_for_more_than_numbers_is_refused(
    edit: Callable[..., Path], zarr_format: int, change: dict[str, Any], message: str
) -> None:
    path = edit(lambda description: description.update(change), zarr_format)
    with pytest.raises(ValueError, match=r"cube\.zarr: ") as error:
        load_climate_cube(path, ONE)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@needs_zarr
def test_a_chunk_that_is_damaged_is_refused(edit: Callable[..., Path]) -> None:
    path = edit(lambda description: None)
    (path / "ta/c/0/0/0/0").write_bytes(b"not what was compressed")
    with pytest.raises(ValueError, match=r"cube\.zarr: the file is damaged"):
        load_climate_cube(path, ONE)


@needs_zarr
def test_a_zip_that_is_damaged_inside_is_refused(tmp_path: Path, cube: ClimateCube) -> None:
    path = tmp_path / "cube.zip"
    write_zarr(cube, path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"days since", b"days_since", 1))
    with pytest.raises(ValueError, match=r"cube\.zip: time/zarr\.json is not a description of an array .*CRC"):
        load_climate_cube(path, ONE)


def test_a_description_that_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cube.zarr" / "ta").mkdir(parents=True)
    (tmp_path / "cube.zarr" / "ta" / "zarr.json").write_text("[" * 100_000)
    if not HAS_ZARR:
        pytest.skip("needs zarr: pip install 'astrobio-audit[cubes]'")
    with pytest.raises(ValueError, match=r"ta/zarr\.json is not a description of an array"):
        load_climate_cube(tmp_path / "cube.zarr", ONE)


def test_a_link_in_a_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "cube.zarr").mkdir()
    (tmp_path / "cube.zarr" / "ta").symlink_to(tmp_path / "secret", target_is_directory=True)
    with pytest.raises(ValueError, match=r"cube\.zarr: 'ta' is a link, which can lead out of the store"):
        load_climate_cube(tmp_path / "cube.zarr", ONE)


@pytest.mark.parametrize("member", ["../ta/zarr.json", "/ta/zarr.json", "ta/../../x", "ta\\zarr.json"])
def test_a_member_of_a_zip_that_leads_out_of_it_is_refused(tmp_path: Path, member: str) -> None:
    with zipfile.ZipFile(tmp_path / "cube.zip", "w") as archive:
        archive.writestr(member, "{}")
    with pytest.raises(ValueError, match=r"cube\.zip: member .* leads out of the store"):
        load_climate_cube(tmp_path / "cube.zip", ONE)


def test_a_zip_that_unpacks_to_more_than_allowed_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "cube.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ta/zarr.json", b"\0" * 10**6)
    with pytest.raises(ValueError, match="the store has more than 1,000,000 members or 0 MiB; cut it into parts"):
        load_climate_cube(tmp_path / "cube.zip", ONE, max_bytes=10**5)


def test_a_store_with_too_many_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrobio.data.zarr_stores.MAX_MEMBERS", 2)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match="the store has more than 2 members"):
        load_climate_cube(tmp_path, ONE)


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no zarr array is in it; name the store itself"):
        load_climate_cube(tmp_path, ONE)


@pytest.mark.parametrize("name", ["absent.zarr", "absent.nc"])
def test_a_store_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"{name}: there is no such file"):
        load_climate_cube(tmp_path / name, ONE)


@needs_zarr
def test_nothing_is_replaced_and_only_known_formats_written(tmp_path: Path, cube: ClimateCube) -> None:
    with pytest.raises(FileExistsError, match="something is there already"):
        write_zarr(cube, tmp_path)
    with pytest.raises(ValueError, match="zarr_format must be 2 or 3, got 1"):
        write_zarr(cube, tmp_path / "cube.zarr", zarr_format=1)


def test_without_zarr_the_message_says_what_to_install(
    tmp_path: Path, cube: ClimateCube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    (tmp_path / "cube.zarr" / "ta").mkdir(parents=True)
    (tmp_path / "cube.zarr" / "ta" / "zarr.json").write_text("{}")
    for attempt in (lambda: load_climate_cube(tmp_path / "cube.zarr", ONE), lambda: write_zarr(cube, tmp_path / "b")):
        with pytest.raises(ImportError, match=r"zarr stores need zarr: pip install 'astrobio-audit\[cubes\]'"):
            attempt()
