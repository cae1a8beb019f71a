"""The arrays of a zarr store, a folder or a zip file, of zarr's format 2 or 3.

zarr reads them: both formats and their compressors are more than is worth writing again. Before it does, the store's
members and each array's description are looked at here: a store from elsewhere could lead out of its folder, unpack to
more than the machine holds, or ask for a filter that unpickles, which runs whatever code it contains.
"""

import base64
import binascii
import importlib
import json
import math
import os
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrobio.data.files import FileKind, require_data_file
from astrobio.data.netcdf_files import damaged
from astrobio.data.stored_arrays import MAX_VALUES, StoredArray, plain_attribute

MAX_MEMBERS = 1_000_000
MAX_DESCRIPTION_BYTES = 4 * 2**20
_DESCRIPTIONS = ("zarr.json", ".zarray")

# Compressors, checksums and filters that turn bytes into bytes or numbers into numbers.
_KNOWN_CODECS = frozenset(
    {
        "bytes",
        "blosc",
        "gzip",
        "zlib",
        "zstd",
        "lz4",
        "bz2",
        "lzma",
        "crc32c",
        "transpose",
        "sharding_indexed",
        "shuffle",
        "delta",
        "fixedscaleoffset",
        "adler32",
        "crc32",
    }
)
_V3_TYPES = frozenset(
    {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"}
)


@contextmanager
def open_zarr(path: Path, *, max_bytes: int) -> Iterator[dict[str, StoredArray]]:
    """The arrays of the store's root group; they can be read until the context ends.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: see `require_data_file`; or a member leads out of the store, or the store is damaged.
        ImportError: zarr is not installed.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder; check the path")
    if path.is_dir():
        members = _folder_members(path, max_bytes)
    else:
        require_data_file(path, expected=frozenset({FileKind.ZARR_ZIP}), max_bytes=max_bytes)
        members = _zip_members(path, max_bytes)
    names = sorted({name.parts[0] for name in members if len(name.parts) == 2 and name.name in _DESCRIPTIONS})
    if not names:
        raise ValueError(f"{path}: no zarr array is in it; name the store itself, the folder with zarr.json or .zgroup")
    zarr = import_zarr()
    store = zarr.storage.LocalStore(path, read_only=True) if path.is_dir() else zarr.storage.ZipStore(path, mode="r")
    try:
        yield {name: array for name in names if (array := _array(path, store, name, members, zarr)) is not None}
    finally:
        if store._is_open:  # zarr 3.1.6 fails to close a zip that nothing was read from
            store.close()


def import_zarr() -> Any:
    """The module zarr.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module("zarr")
    except ImportError as error:
        raise ImportError("zarr stores need zarr: pip install 'astrobio-audit[cubes]'") from error


def _folder_members(path: Path, max_bytes: int) -> set[PurePosixPath]:
    """The files of a folder, none of which is a link."""
    members: set[PurePosixPath] = set()
    total = 0
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            member = Path(folder, name)
            if member.is_symlink():
                raise ValueError(
                    f"{path}: {str(member.relative_to(path))!r} is a link, which can lead out of the store; "
                    "copy the data in"
                )
        for name in files:
            member = Path(folder, name)
            total += member.stat().st_size
            members.add(PurePosixPath(member.relative_to(path).as_posix()))
            _limit(path, len(members), total, max_bytes)
    return members


def _zip_members(path: Path, max_bytes: int) -> set[PurePosixPath]:
    """The files of a zip, none of which leads out of it."""
    members: set[PurePosixPath] = set()
    total = 0
    try:
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise damaged(path, error) from error
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in entry.filename:
            raise ValueError(
                f"{path}: member {entry.filename[:80]!r} leads out of the store; "
                "do not use a file from where this one came"
            )
        if not entry.is_dir():
            total += entry.file_size
            members.add(name)
        _limit(path, len(members), total, max_bytes)
    return members


def _limit(path: Path, num_members: int, total: int, max_bytes: int) -> None:
    if num_members > MAX_MEMBERS or total > max_bytes:
        raise ValueError(
            f"{path}: the store has more than {MAX_MEMBERS:,} members or {max_bytes / 2**20:,.0f} MiB; "
            "cut it into parts, or raise max_bytes"
        )


def _array(path: Path, store: Any, name: str, members: set[PurePosixPath], zarr: Any) -> StoredArray | None:
    """One array of the store, or None where `name` is a group. Its description is judged when it is read."""
    is_v3 = PurePosixPath(name, "zarr.json") in members
    description = _json(path, f"{name}/{'zarr.json' if is_v3 else '.zarray'}")
    if is_v3 and description.get("node_type") != "array":
        return None
    given = description.get("attributes", {}) if is_v3 else {}
    if not is_v3 and PurePosixPath(name, ".zattrs") in members:
        given = _json(path, f"{name}/.zattrs")
    dimensions = description.get("dimension_names") if is_v3 else given.get("_ARRAY_DIMENSIONS")
    shape, names = _integers(description.get("shape")), _strings(dimensions)
    if shape is None or not isinstance(given, dict):
        raise ValueError(f"{path}: the description of array {name!r} has no shape; the store is damaged")
    if names is None or len(names) != len(shape):
        names = tuple(f"dimension {index} of {name}, which has no name" for index in range(len(shape)))
    attributes = {key: plain for key, value in given.items() if (plain := plain_attribute(value)) is not None}
    missing = [value for key in ("_FillValue", "missing_value") for value in _numbers(attributes.get(key))]
    if (fill_text := attributes.get("_FillValue")) and isinstance(fill_text, str):
        missing.append(_decoded_fill(path, name, fill_text))
    fill = description.get("fill_value")
    if not is_v3 and isinstance(fill, int | float) and fill != 0:
        # In format 2 it is what stands for missing values, as xarray writes it; 0 is what nobody chose.
        missing.append(float(fill))
    return StoredArray(
        name=name,
        dimensions=names,
        shape=shape,
        attributes=attributes,
        missing=tuple(missing),
        read=lambda: _read(path, store, name, description, tuple(missing), zarr),
    )


def _read(
    path: Path, store: Any, name: str, description: dict[str, Any], missing: tuple[float, ...], zarr: Any
) -> NDArray[np.generic]:
    try:
        _require_known(description)
    except ValueError as error:
        raise ValueError(f"{path}: array {name}: {error}") from None
    try:
        array = zarr.open_array(store=store, path=name, mode="r")
        num_absent = array.nchunks - array.nchunks_initialized
        fill = float(array.fill_value) if array.fill_value is not None else math.nan
        if num_absent and not (math.isnan(fill) or fill in missing):
            raise ValueError(
                f"{path}: array {name}: {num_absent} of {array.nchunks} chunks are absent and would read as {fill:g}, "
                "which does not stand for missing values; the store may be copied in part, so copy it again"
            )
        values: NDArray[np.generic] = np.asarray(array[...])
    except (OSError, RuntimeError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise damaged(path, error) from error
    except ValueError as error:  # zarr's own, and the one above
        raise (error if str(error).startswith(str(path)) else damaged(path, error)) from error
    return values


def _require_known(description: dict[str, Any]) -> None:
    """Refuse a description that asks for more than numbers in regular chunks, unpacked by a known codec."""
    if "zarr_format" not in description or description["zarr_format"] == 2:
        if not re.fullmatch(r"[<>|][iuf][1248]", str(description.get("dtype"))):
            raise ValueError(f"it holds {str(description.get('dtype'))[:40]!r}, not numbers")
        filters = description.get("filters")
        steps = [description.get("compressor"), *(filters if isinstance(filters, list) else [filters])]
        codecs: list[object] = [
            each.get("id") if isinstance(each, dict) else each for each in steps if each is not None
        ]
        chunks = _integers(description.get("chunks"))
    else:
        if description.get("data_type") not in _V3_TYPES:
            raise ValueError(f"it holds {str(description.get('data_type'))[:40]!r}, not numbers")
        codecs = _codec_names(description.get("codecs"))
        if description.get("storage_transformers"):
            codecs.append("storage_transformers")
        grid = description.get("chunk_grid")
        grid = grid if isinstance(grid, dict) else {}
        settings = grid.get("configuration") if grid.get("name") == "regular" else None
        chunks = _integers(settings.get("chunk_shape")) if isinstance(settings, dict) else None
    unknown = [codec for codec in codecs if codec not in _KNOWN_CODECS]
    if unknown:
        raise ValueError(
            f"it needs {str(unknown[0])[:40]!r} to unpack, and only {', '.join(sorted(_KNOWN_CODECS))} are allowed; "
            "write the store again with one of these"
        )
    if chunks is None or not 0 < math.prod(chunks) <= MAX_VALUES:
        raise ValueError(f"its chunks {str(chunks)[:40]} are not regular, or too large to unpack")


def _codec_names(codecs: object) -> list[object]:
    """Their names, also of those inside shards."""
    names: list[object] = []
    for codec in codecs if isinstance(codecs, list) else [codecs]:
        if not isinstance(codec, dict):
            names.append(codec)
            continue
        names.append(codec.get("name"))
        inside = codec.get("configuration")
        for key in ("codecs", "index_codecs"):
            if isinstance(inside, dict) and key in inside:
                names += _codec_names(inside[key])
    return names


def _json(path: Path, member: str) -> dict[str, Any]:
    """A description in the store."""
    try:
        if path.is_dir():
            with Path(path, member).open("rb") as file:
                content = file.read(MAX_DESCRIPTION_BYTES + 1)
        else:
            with zipfile.ZipFile(path) as archive, archive.open(member) as inside:
                content = inside.read(MAX_DESCRIPTION_BYTES + 1)
        if len(content) > MAX_DESCRIPTION_BYTES:
            raise ValueError("too long")
        found = json.loads(content)
        if not isinstance(found, dict):
            raise ValueError("not a JSON object")
    except (ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise ValueError(
            f"{path}: {member} is not a description of an array ({error}); copy the store again"
        ) from error
    return found


def _decoded_fill(path: Path, name: str, text: str) -> float:
    """xarray writes a float as the base64 of its eight bytes where JSON has no number for it."""
    try:
        (value,) = struct.unpack("<d", base64.b64decode(text, validate=True))
    except (binascii.Error, struct.error) as error:
        raise ValueError(f"{path}: array {name}: _FillValue {text[:40]!r} is not understood") from error
    return float(value)


def _integers(values: object) -> tuple[int, ...] | None:
    """A list of integers of JSON; None for anything else."""
    if not isinstance(values, list) or not all(isinstance(each, int) and not isinstance(each, bool) for each in values):
        return None
    return tuple(values)


def _strings(values: object) -> tuple[str, ...] | None:
    """A list of strings of JSON; None for anything else."""
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        return None
    return tuple(values)


def _numbers(value: str | tuple[float, ...] | None) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else ()
