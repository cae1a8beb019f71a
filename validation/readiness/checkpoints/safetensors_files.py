"""The header of a safetensors file, read by the format's own rules."""

import json
import math
import struct
from collections.abc import Iterator
from typing import BinaryIO

from validation.readiness.checkpoints.forms import (
    ITEM_BYTES,
    MAX_HEADER_BYTES,
    MAX_TENSORS,
    Layout,
    Malformed,
    NotRead,
    StoredTensor,
    count_of,
    shape_of,
)

_LENGTH = struct.Struct("<Q")
# https://github.com/huggingface/safetensors: the dtypes of the format, by torch's names. F4 and F6 pack elements.
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
    "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip
_PACKED = frozenset({"F4", "F6_E2M3", "F6_E3M2"})
_METADATA = "__metadata__"
_KEYS = {"dtype", "shape", "data_offsets"}
_Pairs = list[tuple[str, object]]


def looks_like_safetensors(head: bytes, size: int) -> bool:
    """Return whether a file begins as safetensors do: a length, and then a JSON object."""
    if head[_LENGTH.size : _LENGTH.size + 1] != b"{":
        return False
    (length,) = _LENGTH.unpack_from(head)
    return bool(_LENGTH.size + length <= size)


def safetensors_layout(file: BinaryIO, size: int) -> Layout:
    """Return what the header of a file of `size` bytes says.

    Raises:
        Malformed: the header breaks a rule of the format, or the file has not the bytes that it speaks of.
        NotRead: the header is larger than the limit.
    """
    file.seek(0)
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise Malformed(f"{size} bytes are too few for a header: it was cut off")
    (length,) = _LENGTH.unpack(head)
    if _LENGTH.size + length > size:
        raise Malformed(f"the header has {length} bytes by its own word, and the file {size}: it was cut off")
    if length > MAX_HEADER_BYTES:
        raise NotRead(f"the header has {length} bytes; at most {MAX_HEADER_BYTES} are read")
    header = _parsed(file.read(length))
    begin = _LENGTH.size + length
    tensors, unread, end = [], [], 0
    for name, dtype, shape, first, last in sorted(_entries(header), key=lambda entry: (entry[3], entry[4])):
        if first != end:
            raise Malformed(f"{_shown(name)} begins at byte {first} of the data; the one before it ends at {end}")
        end = last
        if begin + last > size:
            raise Malformed(
                f"{_shown(name)} ends {begin + last - size} bytes beyond the end of the file: it was cut off"
            )
        if dtype in _PACKED:
            unread.append(f"{_shown(name)} is of dtype {dtype}")
            continue
        ours = _DTYPES[dtype]
        if math.prod(shape) * ITEM_BYTES[ours] != last - first:
            raise Malformed(f"{_shown(name)} is {dtype} {list(shape)} and has {last - first} bytes")
        tensors.append(StoredTensor(name, ours, shape, begin + first, last - first, dense=True))
    if begin + end != size:
        raise Malformed(f"{size - begin - end} bytes at the end of the file belong to no tensor")
    return Layout("safetensors", tuple(sorted(tensors, key=lambda each: each.name)), unread=tuple(unread))


def _parsed(content: bytes) -> _Pairs:
    try:
        header = json.loads(content.decode("utf-8"), object_pairs_hook=_Object)
    except (ValueError, RecursionError) as problem:  # ValueError: no UTF-8, no JSON
        raise Malformed(f"the header is no JSON: {type(problem).__name__}") from problem
    if not isinstance(header, _Object):
        raise Malformed("the header is no JSON object")
    if len(header) > MAX_TENSORS:
        raise NotRead(f"the header names {len(header)} tensors; at most {MAX_TENSORS} are read")
    names = {name for name, _ in header}
    if len(names) < len(header):
        raise Malformed("the header names a tensor twice")
    return header


class _Object(_Pairs):
    """A JSON object with its keys as they were written, repeated ones among them."""


def _entries(header: _Pairs) -> Iterator[tuple[str, str, tuple[int, ...], int, int]]:
    for name, entry in header:
        if name == _METADATA:
            if not isinstance(entry, _Object) or not all(isinstance(value, str) for _, value in entry):
                raise Malformed("the header's metadata are not texts by name")
            continue
        if not isinstance(entry, _Object) or {key for key, _ in entry} != _KEYS or len(entry) != len(_KEYS):
            raise Malformed(f"{_shown(name)} does not have dtype, shape and data_offsets")
        fields = dict(entry)
        dtype, offsets = fields["dtype"], fields["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _DTYPES.keys() | _PACKED:
            raise Malformed(f"{_shown(name)} has a dtype that the format does not know")
        shape = shape_of(fields["shape"], f"the shape of {_shown(name)}")
        if not isinstance(offsets, list) or len(offsets) != 2:
            raise Malformed(f"the offsets of {_shown(name)} are not two numbers")
        first, last = (count_of(each, f"an offset of {_shown(name)}") for each in offsets)
        if last < first:
            raise Malformed(f"{_shown(name)} ends before it begins")
        yield name, dtype, shape, first, last


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")
