"""NumPy's arrays: the header of an .npy file, and of each in an .npz archive."""

import ast
import io
import math
import re
import zlib
from typing import BinaryIO

import numpy as np

from validation.readiness.checkpoints.archives import Entry, entries_of
from validation.readiness.checkpoints.forms import Malformed, NotRead, shape_of

_MAGIC = b"\x93NUMPY"
_MAX_HEADER_BYTES = 64 * 1024  # NumPy itself reads 10,000 characters of a file that it does not trust
_LONG = re.compile(r"(\d)L\b")  # as Python 2 wrote its numbers on some machines
_KEYS = {"descr", "fortran_order", "shape"}


def look_at_npy(file: BinaryIO, size: int) -> None:
    """Judge one array: its header, and that its bytes are there and no more."""
    begin, length = _header(file)
    if length is not None and begin + length != size:
        raise Malformed(f"the header speaks of {length} bytes of numbers, and the file has {size - begin}")


def look_at_npz(file: BinaryIO, size: int) -> None:
    """Judge an archive of arrays."""
    if file.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise Malformed("it does not begin as a zip archive does")
    entries = entries_of(file, size)
    if not entries:
        raise Malformed("the archive holds no array")
    for entry in entries:
        if entry.name.endswith(".npy"):
            begin, length = _header(io.BytesIO(_beginning(file, entry)))
            if length is not None and begin + length != entry.size_bytes:
                raise Malformed(
                    f"{entry.name[:80]!r} speaks of {length} bytes of numbers, and has {entry.size_bytes - begin}"
                )


def _beginning(file: BinaryIO, entry: Entry) -> bytes:
    file.seek(entry.start)
    content = file.read(min(entry.stored_bytes, _MAX_HEADER_BYTES))
    if not entry.is_packed:
        return content
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, _MAX_HEADER_BYTES)
    except zlib.error as problem:
        raise Malformed(f"{entry.name[:80]!r} cannot be unpacked: {problem}") from problem


def _header(file: BinaryIO) -> tuple[int, int | None]:
    """Return how long the header is, and how many bytes follow it: unknown for an array of Python's objects."""
    head = file.read(8)
    if len(head) < 8 or not head.startswith(_MAGIC):
        raise Malformed("it does not begin as an array of NumPy does")
    wide = 2 if head[6] == 1 else 4
    length = int.from_bytes(file.read(wide), "little")
    if length > _MAX_HEADER_BYTES:
        raise NotRead(f"the header has {length} bytes; at most {_MAX_HEADER_BYTES} are read")
    content = file.read(length)
    if len(content) < length:
        raise Malformed("the file ends within its header: it was cut off")
    try:
        text = _LONG.sub(r"\1", content.decode("latin-1").strip())
        header = ast.literal_eval(text)
        if not isinstance(header, dict) or header.keys() != _KEYS:
            raise Malformed("the header does not have descr, fortran_order and shape")
        dtype = np.dtype(_described(header["descr"]))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as problem:
        raise Malformed(f"the header cannot be read: {type(problem).__name__}") from problem
    shape = shape_of(header["shape"], "the shape of the array")
    return 8 + wide + length, None if dtype.hasobject else math.prod(shape) * dtype.itemsize


def _described(descr: object) -> np.typing.DTypeLike:
    """Return what a header gives for a dtype: a text, or a list of fields.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(descr, str | list):
        return descr
    raise TypeError("descr")
