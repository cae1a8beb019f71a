"""The header of a GGUF file: metadata, and what each tensor is and where it lies. Nothing of it is believed."""

import math
import struct
from typing import BinaryIO

from validation.readiness.checkpoints.forms import (
    ITEM_BYTES,
    MAX_TENSORS,
    MIB,
    Layout,
    Malformed,
    NotRead,
    StoredTensor,
    count_of,
)
from validation.readiness.checkpoints.quantised import BLOCKS

MAGIC = b"GGUF"
# https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: versions 2 and 3 differ in the order of bytes alone.
_VERSIONS = (2, 3)
MAX_HEADER_BYTES = 256 * MIB  # of which only what stands at the place in hand is in memory
MAX_VALUES = 4_000_000  # texts and arrays of metadata: a vocabulary of 256,000 words has some 800,000
_MAX_TEXT_BYTES = 65_535  # of a key, by the specification
_MAX_NAME_BYTES = 64
_MAX_DIMENSIONS = 4
_MAX_DEPTH = 4  # of arrays of arrays
_ALIGNMENT = "general.alignment"
_USUAL_ALIGNMENT = 32
_FIXED_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # by the type of a value
_UNSIGNED_32, _TEXT, _ARRAY = 4, 8, 9
_LEAST_BYTES = {_TEXT: 8, _ARRAY: 12}  # an empty one
_LEAST_ENTRY, _LEAST_TENSOR = 13, 24  # bytes of a key with its value, and of what describes a tensor
_TYPES = {
    0: "float32", 1: "float16", 2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 8: "q8_0", 10: "q2_k", 11: "q3_k",
    12: "q4_k", 13: "q5_k", 14: "q6_k", 16: "iq2_xxs", 17: "iq2_xs", 18: "iq3_xxs", 19: "iq1_s", 20: "iq4_nl",
    21: "iq3_s", 22: "iq2_s", 23: "iq4_xs", 24: "int8", 25: "int16", 26: "int32", 27: "int64", 28: "float64",
    29: "iq1_m", 30: "bfloat16", 34: "tq1_0", 35: "tq2_0", 39: "mxfp4", 40: "nvfp4", 41: "q1_0",
}  # fmt: skip


def gguf_layout(file: BinaryIO, size: int) -> Layout:
    """Return what the header of a file of `size` bytes says.

    Raises:
        Malformed: the header breaks a rule of the format, or the file has not the bytes that it speaks of.
        NotRead: it is of another version, names a type that is not known here, or is larger than the limits.
    """
    header = _Header(file, size)
    tensors, entries = header.number("Q"), header.number("Q")
    for count, least, what in ((entries, _LEAST_ENTRY, "keys"), (tensors, _LEAST_TENSOR, "tensors")):
        if count * least > size:
            raise Malformed(f"the header speaks of {count} {what}, and the file has {size} bytes: it was cut off")
    if tensors > MAX_TENSORS:
        raise NotRead(f"the header names {tensors} tensors; at most {MAX_TENSORS} are read")
    alignment = header.metadata(entries)
    described = [header.tensor() for _ in range(tensors)]
    begin = _padded(header.place, alignment)
    placed = _placed(described, begin, size, alignment)
    unread = tuple(
        f"{_shown(each.name)} is of type {each.dtype}, whose scales are not followed"
        for each in placed
        if each.dtype in BLOCKS and not BLOCKS[each.dtype].scales
    )
    kept = tuple(each for each in placed if each.dtype not in BLOCKS or BLOCKS[each.dtype].scales)
    return Layout("GGUF", kept, unread=unread, little_endian=header.order == "<")


_Described = tuple[str, str, tuple[int, ...], int, int]  # name, dtype, shape, offset and bytes


class _Header:
    """The header as a stream: each number is taken where the one before it ends, and never beyond the file's end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._values = 0
        self.place = 0
        self.order = "<"
        file.seek(0)
        if self._taken(len(MAGIC)) != MAGIC:
            raise Malformed("it does not begin as GGUF does")
        version = self.number("I")
        swapped = int.from_bytes(version.to_bytes(4, "big"), "little")
        if swapped in _VERSIONS:
            self.order, version = ">", swapped
        if version not in _VERSIONS:
            raise NotRead(f"version {version} of GGUF is not read; versions {_VERSIONS[0]} and {_VERSIONS[1]} are")

    def number(self, form: str) -> int:
        """Return an unsigned number, whose form is one of `struct`."""
        return int(struct.unpack(f"{self.order}{form}", self._taken(struct.calcsize(form)))[0])

    def text(self, limit: int, what: str) -> str:
        """Return a text of at most so many bytes."""
        length = self.number("Q")
        if length > self._size - self.place:
            raise Malformed(f"{what} has {length} bytes by its own word, and the file ends before: it was cut off")
        if length > limit:
            raise Malformed(f"{what} has {length} bytes; the format allows {limit}")
        try:
            return self._taken(length).decode()
        except UnicodeDecodeError as problem:
            raise Malformed(f"{what} is no UTF-8") from problem

    def metadata(self, entries: int) -> int:
        """Read the keys and pass over their values; return the alignment of the tensors."""
        seen: set[str] = set()
        alignment = _USUAL_ALIGNMENT
        for _ in range(entries):
            self._count()
            key = self.text(_MAX_TEXT_BYTES, "a key of the metadata")
            if key in seen:
                raise Malformed(f"the metadata have the key {_shown(key)} twice")
            seen.add(key)
            kind = self.number("I")
            if key == _ALIGNMENT:
                alignment = self.number("I") if kind == _UNSIGNED_32 else 0
                if alignment == 0 or alignment & (alignment - 1):
                    raise Malformed(f"{_ALIGNMENT} is no power of two in 32 bits")
            else:
                self._pass_over(kind, 1, key, 0)
        return alignment

    def tensor(self) -> _Described:
        """Return what the next tensor is said to be."""
        name = self.text(_MAX_NAME_BYTES, "the name of a tensor")
        shown = _shown(name)
        dimensions = self.number("I")
        if dimensions > _MAX_DIMENSIONS:
            raise Malformed(f"{shown} has {dimensions} dimensions; the format allows {_MAX_DIMENSIONS}")
        lengths = [count_of(self.number("Q"), f"a dimension of {shown}") for _ in range(dimensions)]
        kind, offset = self.number("I"), self.number("Q")
        if kind not in _TYPES:
            raise NotRead(f"{shown} is of type {kind} of ggml, whose size is not known here")
        dtype = _TYPES[kind]
        block = BLOCKS.get(dtype)
        per_block, block_bytes = (block.elements, block.size_bytes) if block else (1, ITEM_BYTES[dtype])
        if (lengths[0] if lengths else 1) % per_block:
            raise Malformed(f"{shown} is of {dtype}, {per_block} elements of which are one block, and has {lengths}")
        elements = count_of(math.prod(lengths), f"the number of elements of {shown}")
        return name, dtype, tuple(reversed(lengths)), offset, elements // per_block * block_bytes

    def _pass_over(self, kind: int, count: int, key: str, depth: int) -> None:
        """Pass over so many values of a kind, one after another."""
        if depth > _MAX_DEPTH:
            raise NotRead(f"the value of {_shown(key)} is nested more than {_MAX_DEPTH} deep")
        least = _FIXED_BYTES.get(kind) or _LEAST_BYTES.get(kind)
        if least is None:
            raise Malformed(f"the value of {_shown(key)} is of type {kind}, which the format does not know")
        if count * least > self._size - self.place:
            raise Malformed(f"the value of {_shown(key)} has {count} parts, and the file ends before: it was cut off")
        if kind in _FIXED_BYTES:
            self._skipped(count * least)
            return
        for _ in range(count):
            self._count()
            if kind == _TEXT:
                self._skipped(self.number("Q"))
            else:
                inner = self.number("I")
                self._pass_over(inner, self.number("Q"), key, depth + 1)

    def _count(self) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise NotRead(f"the metadata have more than the {MAX_VALUES} values that are passed over")

    def _taken(self, count: int) -> bytes:
        content = self._file.read(count)
        if len(content) < count:
            raise Malformed("the file ends within its header: it was cut off")
        self._advance(count)
        return content

    def _skipped(self, count: int) -> None:
        if count > self._size - self.place:
            raise Malformed("the file ends within its metadata: it was cut off")
        self._advance(count)
        self._file.seek(self.place)

    def _advance(self, count: int) -> None:
        self.place += count
        if self.place > MAX_HEADER_BYTES:
            raise NotRead(f"the header has more than the {MAX_HEADER_BYTES} bytes that are read")


def _placed(described: list[_Described], begin: int, size: int, alignment: int) -> list[StoredTensor]:
    """Return the tensors where they lie, in the order of their bytes, of which none belong to two."""
    names = {name for name, *_ in described}
    if len(names) < len(described):
        raise Malformed("the header names a tensor twice")
    found = []
    end = 0
    for name, dtype, shape, offset, length in sorted(described, key=lambda each: (each[3], each[4])):
        shown = _shown(name)
        if offset % alignment:
            raise Malformed(f"{shown} begins at byte {offset} of the data, which is no multiple of {alignment}")
        if offset < end:
            raise Malformed(f"{shown} begins at byte {offset} of the data; the one before it ends at {end}")
        end = offset + length
        if begin + end > size:
            raise Malformed(f"{shown} ends {begin + end - size} bytes beyond the end of the file: it was cut off")
        found.append(StoredTensor(name, dtype, shape, begin + offset, length, dense=True))
    return found


def _padded(place: int, alignment: int) -> int:
    return -(-place // alignment) * alignment


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")
