import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from astrobio.data.files import FileKind, require_data_file

EVERYTHING = frozenset(FileKind)
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., FileKind]:
    def look_at(content: bytes, *, expected: frozenset[FileKind] = EVERYTHING, max_bytes: int = 10**6) -> FileKind:
        path = tmp_path / "data.bin"
        path.write_bytes(content)
        return require_data_file(path, expected=expected, max_bytes=max_bytes)

    return look_at


def hdf5_start(version: int, end: int) -> bytes:
    """A superblock that says where the file ends."""
    if version < 2:
        fixed = bytes([version, 0, 0, 0, 0, 8, 8, 0]) + struct.pack("<HHI", 4, 16, 0) + b"\0" * 4 * version
        return b"\x89HDF\r\n\x1a\n" + fixed + struct.pack("<QQQQ", 0, 2**64 - 1, end, 2**64 - 1)
    return b"\x89HDF\r\n\x1a\n" + bytes([version, 8, 8, 0]) + struct.pack("<QQQQI", 0, 2**64 - 1, end, 48, 0)


@pytest.mark.parametrize(
    ("content", "what", "to_do"),
    [
        (b"", "the file is empty", "download it again"),
        (LFS_POINTER, "a git-LFS pointer", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html><head>", "an HTML page", "open it in a browser"),
        (b"\n  <HTML><body>Login</body>", "an HTML page", "open it in a browser"),
        (b"\xef\xbb\xbf<html>", "an HTML page", "open it in a browser"),
        (b'<?xml version="1.0"?>\n<VOTABLE>', "an XML document", "format=csv"),
        (b"ERROR<br>\nError Type: UserError", "an error message of a server", "read it"),
        (b'{"error": "not found"}', "an error message of a server", "read it"),
        (b"\x1f\x8b\x08\0\0", "compressed with gzip", "gunzip"),
        (b"\0\1\2\3", "neither text nor netCDF nor zip", "check what it is"),
        (b"x" * 1_000_001, "above the limit of 1 MiB", "raise max_bytes"),
        (b"PK\x03\x04half of a zip file", "a zip file cut short", "download it again"),
        (b"\x89HDF\r\n\x1a\n", "cut short in its first 8 bytes", "download it again"),
        (b"CDF\x01\0\0", "cut short or damaged near byte", "download it again"),
        (b"\x89HDF\r\n\x1a\n\x09" + b"\0" * 90, "superblock version 9, which is not known", "check what wrote it"),
    ],
)
def test_what_is_no_data_is_refused_with_what_it_is_and_what_to_do(
    look: Callable[..., FileKind], content: bytes, what: str, to_do: str
) -> None:
    with pytest.raises(ValueError, match=r"^/.*data\.bin: ") as error:
        look(content)
    assert what in str(error.value)
    assert to_do in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.nc: there is no such file; check the path"):
        require_data_file(tmp_path / "absent.nc", expected=EVERYTHING, max_bytes=1)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this is a folder where a CSV table is expected; name the file inside it"):
        require_data_file(tmp_path, expected=frozenset({FileKind.CSV}), max_bytes=1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="this is a pipe or device, not a file"):
        require_data_file(tmp_path / "pipe", expected=EVERYTHING, max_bytes=1)


def test_the_kind_is_that_of_the_content(look: Callable[..., FileKind], classic_netcdf: Callable[..., bytes]) -> None:
    assert look(b"pl_name,pl_rade\n") is FileKind.CSV
    assert look(classic_netcdf({"v": (("x",), np.ones(3), {})})) is FileKind.NETCDF_CLASSIC
    with pytest.raises(ValueError, match=r"this is a CSV table where a netCDF4 \(HDF5\) file is expected"):
        look(b"pl_name,pl_rade\n", expected=frozenset({FileKind.NETCDF4}))


def test_a_whole_zip_file_is_one(look: Callable[..., FileKind], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("zarr.json", "{}")
    assert look((tmp_path / "a.zip").read_bytes()) is FileKind.ZARR_ZIP


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_an_hdf5_file_shorter_than_its_superblock_says_is_refused(look: Callable[..., FileKind], version: int) -> None:
    whole = hdf5_start(version, 200).ljust(200, b"\0")
    assert look(whole) is FileKind.NETCDF4
    with pytest.raises(ValueError, match="cut short: 199 bytes are there, its header speaks of 200"):
        look(whole[:-1])


@pytest.mark.parametrize("version", [1, 2, 5])
def test_a_classic_file_shorter_than_its_values_is_refused(
    look: Callable[..., FileKind], classic_netcdf: Callable[..., bytes], version: int
) -> None:
    content = classic_netcdf({"v": (("time", "x"), np.ones((4, 3)), {})}, version=version, records="time")
    assert look(content) is FileKind.NETCDF_CLASSIC
    with pytest.raises(ValueError, match=f"cut short: {len(content) - 1} bytes are there"):
        look(content[:-1])
