"""What a file of weights holds, and why one cannot be read: the words that readers and checks share."""

import math
from dataclasses import dataclass

MIB = 1024 * 1024
MAX_PICKLE_BYTES = 64 * MIB  # of what describes the tensors; the tensors are not among it
MAX_OPCODES = 2_000_000  # of a pickle: some fifty for each tensor
MAX_TENSORS = 200_000
MAX_HEADER_BYTES = 8 * MIB  # of JSON, which takes up to twenty times that when it is read; some 80,000 tensors
MAX_DIRECTORY_BYTES = 32 * MIB  # of the list of files in a zip archive
MAX_ENTRIES = 200_000
MAX_DIMENSIONS = 64
LARGEST = 2**63  # torch counts in signed numbers of 64 bits

# By torch's names: bytes of an element.
ITEM_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "complex128": 16, "complex64": 8, "complex32": 4,
    "float8_e4m3fn": 1, "float8_e4m3fnuz": 1, "float8_e5m2": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
    "float4_e2m1fn_x2": 1, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint64": 8, "uint32": 4, "uint16": 2,
    "uint8": 1, "bool": 1, "qint8": 1, "quint8": 1, "qint32": 4, "quint4x2": 1, "quint2x4": 1,
}  # fmt: skip


class Malformed(Exception):
    """The file contradicts its own format, or ends too early: nothing can load it, or only to something else."""


class NotRead(Exception):
    """The file may be right, but this reader does not know its format, or it is larger than a limit."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file. `start` is the byte of its first element, `reach` the bytes from there to the last one's end.

    It is `dense` where these bytes hold its elements and nothing else.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    reach: int
    dense: bool

    @property
    def form(self) -> str:
        """Its dtype and shape, as a reader knows them."""
        return f"{self.dtype} {list(self.shape)}"

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Record:
    """A stretch of the file that the archive has a checksum of."""

    name: str
    start: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What the description in a file says; `names` are those that unpickling it would import, None without a pickle.

    `unread` are tensors of forms that are not followed to their bytes, with the reason.
    """

    format: str
    tensors: tuple[StoredTensor, ...]
    names: tuple[str, ...] | None = None
    records: tuple[Record, ...] = ()
    unread: tuple[str, ...] = ()
    little_endian: bool = True


def count_of(value: object, what: str) -> int:
    """Return a number that counts something.

    Raises:
        Malformed: it is none, or larger than torch can count.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LARGEST:
        raise Malformed(f"{what} is no count")
    return value


def shape_of(value: object, what: str) -> tuple[int, ...]:
    """Return a shape or strides.

    Raises:
        Malformed: it is none.
    """
    if not isinstance(value, list | tuple):
        raise Malformed(f"{what} is no list of counts")
    if len(value) > MAX_DIMENSIONS:
        raise Malformed(f"{what} has {len(value)} dimensions; torch takes at most {MAX_DIMENSIONS}")
    return tuple(count_of(each, what) for each in value)
