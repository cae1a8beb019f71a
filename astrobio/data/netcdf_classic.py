"""netCDF's classic formats (CDF-1, CDF-2, CDF-5), read with numpy alone.

The format is a short header and then the values (netCDF User Guide, appendix "File Format Specifications"). It is read
here and not with the netCDF library because that one reads a file cut short as if the missing values were zeros
(measured with netCDF 4.10.1), which the sizes in the header tell.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_CHARACTERS = 2
_TYPES = {
    1: ">i1",
    _CHARACTERS: "S1",
    3: ">i2",
    4: ">i4",
    5: ">f4",
    6: ">f8",
    7: ">u1",
    8: ">u2",
    9: ">u4",
    10: ">i8",
    11: ">u8",
}
_MAX_HEADER_BYTES = 16 * 2**20
_STREAMING = {4: 2**32 - 1, 8: 2**64 - 1}  # the number of records of a file that was never closed


@dataclass(frozen=True)
class ClassicVariable:
    """Where and what a variable is.

    Attributes:
        dimensions: their names; the record dimension, if any, comes first.
        shape: with the number of records filled in.
        dtype: numpy's name of the type, big-endian; characters are S1.
        attributes: a string, or a tuple of numbers.
        begin: the offset of its first value, bytes.
        record_stride: bytes from one record to the next, 0 for a variable without records.
    """

    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    attributes: dict[str, str | tuple[float, ...]]
    begin: int
    record_stride: int

    @property
    def num_bytes(self) -> int:
        """Of its values, without padding."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def end(self) -> int:
        """The offset after its last value."""
        if not self.record_stride or not self.num_bytes:
            return self.begin + self.num_bytes
        return self.begin + (self.shape[0] - 1) * self.record_stride + self.num_bytes // self.shape[0]


@dataclass(frozen=True)
class ClassicHeader:
    """What a file declares: its variables by name, and the size it must have at least, in bytes."""

    variables: dict[str, ClassicVariable]
    num_bytes: int


def read_header(path: Path) -> ClassicHeader:
    """The header of a classic file.

    Raises:
        ValueError: it is cut short or contradicts itself; one line that names the file.
    """
    with path.open("rb") as file:
        cursor = _Cursor(file.read(_MAX_HEADER_BYTES))
    try:
        return _parse(cursor)
    except (struct.error, UnicodeDecodeError, KeyError, IndexError) as error:
        raise ValueError(
            f"{path}: the header of this netCDF classic file is cut short or damaged near byte {cursor.at}; "
            "download it again"
        ) from error


def read_values(path: Path, variable: ClassicVariable) -> NDArray[np.generic]:
    """The values of a variable as stored, in its shape; the caller has checked that the file is whole."""
    dtype = np.dtype(variable.dtype)
    if not variable.num_bytes:
        return np.empty(variable.shape, dtype)
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    if not variable.record_stride:
        return np.frombuffer(raw[variable.begin : variable.end].tobytes(), dtype).reshape(variable.shape)
    of_record = variable.num_bytes // variable.shape[0]
    rows = np.lib.stride_tricks.as_strided(
        raw[variable.begin : variable.end], (variable.shape[0], of_record), (variable.record_stride, 1), writeable=False
    )
    return np.frombuffer(rows.tobytes(), dtype).reshape(variable.shape)


class _Cursor:
    """Reads the header's numbers in order; the widths of counts and offsets depend on the version."""

    def __init__(self, data: bytes) -> None:
        version = data[3]
        self._data = data
        self._count_width = 8 if version == 5 else 4
        self._offset_width = 4 if version == 1 else 8
        self.at = 4

    def number(self, width: int) -> int:
        (value,) = struct.unpack_from(">I" if width == 4 else ">Q", self._data, self.at)
        self.at += width
        return int(value)

    def count(self) -> int:
        return self.number(self._count_width)

    def offset(self) -> int:
        return self.number(self._offset_width)

    def num_records(self) -> int:
        value = self.count()
        if value == _STREAMING[self._count_width]:
            raise KeyError("the number of records was never written")
        return value

    def padded(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self._data):
            raise IndexError("beyond the header")
        content, self.at = self._data[self.at : end], end + -length % 4
        return content

    def name(self) -> str:
        return self.padded(self.count()).decode()

    def list_of(self, tag: int) -> range:
        found, length = self.number(4), self.count()
        if (found, length) != (0, 0) and found != tag:
            raise KeyError(f"a list of kind {found} where {tag} is expected")
        if length > len(self._data):  # every element takes bytes
            raise IndexError("a list longer than the header")
        return range(length)

    def attributes(self) -> dict[str, str | tuple[float, ...]]:
        found: dict[str, str | tuple[float, ...]] = {}
        for _ in self.list_of(_ATTRIBUTES):
            name, kind, length = self.name(), self.number(4), self.count()
            dtype = np.dtype(_TYPES[kind])
            content = self.padded(length * dtype.itemsize)
            if kind == _CHARACTERS:
                found[name] = content.rstrip(b"\0").decode("utf-8", errors="replace")
            else:
                found[name] = tuple(np.frombuffer(content, dtype).tolist())
        return found


def _parse(cursor: _Cursor) -> ClassicHeader:
    num_records = cursor.num_records()
    dimensions = [(cursor.name(), cursor.count()) for _ in cursor.list_of(_DIMENSIONS)]
    cursor.attributes()  # of the file as a whole; nothing here needs them
    names, parsed, record_sizes = [], [], []
    for _ in cursor.list_of(_VARIABLES):
        names.append(cursor.name())
        of_variable = [dimensions[cursor.count()] for _ in range(_bounded(cursor.count()))]
        attributes, dtype = cursor.attributes(), _TYPES[cursor.number(4)]
        cursor.count()  # its size, which is wrong by design above 4 GiB; the shape tells it
        has_records = bool(of_variable) and of_variable[0][1] == 0
        shape = tuple(length for _, length in of_variable)
        size = math.prod(shape[1:] if has_records else shape) * np.dtype(dtype).itemsize
        record_sizes.append(size if has_records else None)
        if has_records:
            shape = (num_records, *shape[1:])
        parsed.append((tuple(name for name, _ in of_variable), shape, dtype, attributes, cursor.offset()))
    sizes = [size for size in record_sizes if size is not None]
    # Records are padded to 4 bytes each, except where a single variable has them.
    stride = sizes[0] if len(sizes) == 1 else sum(size + -size % 4 for size in sizes)
    variables = {
        name: ClassicVariable(*fields, record_stride=0 if size is None else stride)
        for name, fields, size in zip(names, parsed, record_sizes, strict=True)
    }
    ends = [variable.end for variable in variables.values() if variable.num_bytes]
    return ClassicHeader(variables, max(ends, default=cursor.at))


def _bounded(num_dimensions: int) -> int:
    if num_dimensions > 1024:  # NC_MAX_VAR_DIMS
        raise IndexError("more dimensions than netCDF allows")
    return num_dimensions
