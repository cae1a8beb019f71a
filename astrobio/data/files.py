"""What is refused before a data file is read: a web page, a placeholder of git-LFS, nothing, or half a file.

Data files come from downloads, and a download that failed often leaves a file behind that carries the right name. Every
loader looks here first, so that the user reads what happened and what to do instead of a parser's complaint.
"""

import struct
import zipfile
from enum import Enum
from pathlib import Path

from astrobio.data.netcdf_classic import MAGIC as CLASSIC_MAGIC
from astrobio.data.netcdf_classic import read_header

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_LFS_FIRST_LINE = (
    b"version https://git-lfs.github.com/spec/"  # https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
)
_BYTES_LOOKED_AT = 1024
_MIB = 2**20


class FileKind(Enum):
    """What a file is by its content, not by its name."""

    CSV = "a CSV table"
    NETCDF_CLASSIC = "a netCDF classic file"
    NETCDF4 = "a netCDF4 (HDF5) file"
    ZARR_ZIP = "a zip file with a zarr store"


def require_data_file(path: Path, *, expected: frozenset[FileKind], max_bytes: int) -> FileKind:
    """What the file is, once it is whole and one of `expected`.

    Anything that is not binary counts as CSV here; its reader judges the table itself.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder or a device, empty, above `max_bytes`, a web page, a message of an archive's server,
            a git-LFS placeholder, of a kind that is not expected, or shorter than it says itself. The message is one
            line: the file, what it is, what to do.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; check the path")
    if path.is_dir():
        raise ValueError(f"{path}: this is a folder where {_names(expected)} is expected; name the file inside it")
    if not path.is_file():
        raise ValueError(f"{path}: this is a pipe or device, not a file; save the data to a file first")
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path}: the file is empty; download it again")
    if size > max_bytes:
        raise ValueError(
            f"{path}: {size / _MIB:,.0f} MiB is above the limit of {max_bytes / _MIB:,.0f} MiB; "
            "cut it into parts, or raise max_bytes"
        )
    with path.open("rb") as file:
        start = file.read(_BYTES_LOOKED_AT)
    _refuse_placeholders(path, start)
    kind = _kind_of(path, start)
    if kind not in expected:
        raise ValueError(
            f"{path}: this is {kind.value} where {_names(expected)} is expected; use the loader for its kind"
        )
    _require_whole(path, kind, size, start)
    return kind


def _refuse_placeholders(path: Path, start: bytes) -> None:
    """The files that a failed download leaves in the place of data."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_LFS_FIRST_LINE):
        raise ValueError(
            f"{path}: this is a git-LFS pointer, not the data it stands for; run `git lfs pull` where it was cloned"
        )
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        raise ValueError(
            f"{path}: this is an HTML page, not data; the address may be wrong or ask for a login, "
            "so open it in a browser and download again"
        )
    if text.startswith((b"<?xml", b"<votable")):
        raise ValueError(
            f"{path}: this is an XML document, which the archive's TAP service answers to a wrong query; "
            "read the message in it, and ask for format=csv"
        )
    if text.startswith((b"error<br>", b"error:", b"error ", b'{"error', b'{"message')):
        raise ValueError(f"{path}: this is an error message of a server, not data; read it, and download again")


def _kind_of(path: Path, start: bytes) -> FileKind:
    if start.startswith(CLASSIC_MAGIC):
        return FileKind.NETCDF_CLASSIC
    if start.startswith(HDF5_SIGNATURE):
        return FileKind.NETCDF4
    if start.startswith(_ZIP_SIGNATURES):
        return FileKind.ZARR_ZIP
    if start.startswith(b"\x1f\x8b"):
        raise ValueError(f"{path}: this is compressed with gzip; unpack it with `gunzip` first")
    if b"\0" in start:
        raise ValueError(
            f"{path}: this is neither text nor netCDF nor zip (it starts with {start[:8].hex(' ')}); check what it is"
        )
    return FileKind.CSV


def _require_whole(path: Path, kind: FileKind, size: int, start: bytes) -> None:
    if kind is FileKind.NETCDF_CLASSIC:
        needed = read_header(path).num_bytes
    elif kind is FileKind.NETCDF4:
        needed = _hdf5_end(path, start)
    else:
        needed = 0
    if size < needed:
        raise ValueError(
            f"{path}: {kind.value} cut short: {size:,} bytes are there, its header speaks of {needed:,}; "
            "download it again"
        )
    if kind is FileKind.ZARR_ZIP and not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path}: a zip file cut short: its table of contents, at the end, is missing; download it again"
        )


def _hdf5_end(path: Path, start: bytes) -> int:
    """Where the file ends by its superblock (HDF5 File Format Specification 3.0, II.A), whatever its real size.

    HDF5's own message for a short file speaks of `eof` and `sblock->base_addr`.
    """
    version = start[8] if len(start) > 8 else -1
    place = {0: (13, 40), 1: (13, 44), 2: (9, 28), 3: (9, 28)}.get(version)
    if place is None and version >= 0:
        raise ValueError(
            f"{path}: an HDF5 file of superblock version {version}, which is not known; check what wrote it"
        )
    if place is None or len(start) < place[1] + 8:
        raise ValueError(f"{path}: a netCDF4 (HDF5) file cut short in its first {len(start)} bytes; download it again")
    size_of_offsets, end = place
    if start[size_of_offsets] != 8:
        return 0  # addresses of another width are legal and rare; the library checks them itself
    return int(struct.unpack_from("<Q", start, end)[0])


def _names(expected: frozenset[FileKind]) -> str:
    return " or ".join(sorted(kind.value for kind in expected))
