"""Looks at the numbers of the tensors in a file, a stretch at a time: NaN, infinities, tensors of one value."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from audit.stopping import stop_if_wanted
from validation.readiness.checkpoints.forms import ITEM_BYTES, MIB, Layout, NotRead, StoredTensor
from validation.readiness.checkpoints.quantised import BLOCKS, counted_blocks

CHUNK_BYTES = 4 * MIB
MAX_VALUE_BYTES = 64 * 1024 * MIB  # of one file; at some 500 MB a second
_FLOATS = {"float64": "<f8", "float32": "<f4", "float16": "<f2", "complex64": "<f4", "complex128": "<f8"}
_FLOATS |= {"complex32": "<f2"}
# Of these formats of eight bits: the codes that are NaN, and those that are infinite. OCP 8-bit floating point
# specification, 2023, tables 1 and 2; the `fnuz` variants have one NaN, the code of negative zero.
_EIGHT_BITS: dict[str, tuple[frozenset[int], frozenset[int]]] = {
    "float8_e4m3fn": (frozenset({0x7F, 0xFF}), frozenset()),
    "float8_e5m2": (frozenset({0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF}), frozenset({0x7C, 0xFC})),
    "float8_e4m3fnuz": (frozenset({0x80}), frozenset()),
    "float8_e5m2fnuz": (frozenset({0x80}), frozenset()),
    "float8_e8m0fnu": (frozenset({0xFF}), frozenset()),
}
Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a tensor's numbers. `value` is the only one, as bytes, where all elements are the same.

    `is_mask` says that its numbers are 0 and minus infinity alone, as in a mask that is added to logits.
    """

    nan: int
    infinite: int
    value: bytes | None
    is_mask: bool


@dataclass(frozen=True, slots=True)
class Values:
    """What the numbers of a file are. `unseen` are tensors that were not looked at, with the reason."""

    seen: dict[str, Seen]
    unseen: tuple[str, ...]
    damaged: tuple[str, ...]
    bytes_read: int


def values_of(file: BinaryIO, layout: Layout, tell: Callable[[str], None], *, limit: int = MAX_VALUE_BYTES) -> Values:
    """Read every tensor of a file that is open; one that several names share is read once.

    Raises:
        NotRead: the file became shorter since its layout was read.
        KeyboardInterrupt: the user stopped the run.
    """
    seen: dict[str, Seen] = {}
    unseen = list(layout.unread)
    known: dict[tuple[int, int, str], Seen] = {}
    read = 0
    for tensor in sorted(layout.tensors, key=lambda each: each.start):
        place = (tensor.start, tensor.reach, tensor.dtype)
        if place not in known:
            if not layout.little_endian and _unit_bytes(tensor.dtype) > 1:
                unseen.append(f"{tensor.name!r} is in the byte order of another machine")
                continue
            if read + tensor.reach > limit:
                unseen.append(f"{tensor.name!r} lies beyond the {limit} bytes that are read of a file")
                continue
            known[place] = _seen(file, tensor)
            read += tensor.reach
            tell(f"{read // MIB} MiB read")
        seen[tensor.name] = known[place]
    return Values(seen, tuple(unseen), tuple(_damaged(file, layout, limit)), read)


def _seen(file: BinaryIO, tensor: StoredTensor) -> Seen:
    item = _unit_bytes(tensor.dtype)
    chunk = CHUNK_BYTES // item * item
    nan = infinite = 0
    first: bytes | None = None
    constant = is_mask = tensor.reach > 0
    file.seek(tensor.start)
    left = tensor.reach
    while left:
        stop_if_wanted()
        content = file.read(min(left, chunk))
        if len(content) < min(left, chunk):
            raise NotRead("the file became shorter while it was read")
        left -= len(content)
        first = first if first is not None else content[:item]
        constant = constant and content == first * (len(content) // item)
        some_nan, some_infinite, masks = _counted(content, tensor.dtype)
        nan, infinite, is_mask = nan + some_nan, infinite + some_infinite, is_mask and masks
    return Seen(nan, infinite, first if constant and tensor.dense else None, is_mask and infinite > 0)


def _unit_bytes(dtype: str) -> int:
    """Return the bytes of an element, or of a block of them."""
    return BLOCKS[dtype].size_bytes if dtype in BLOCKS else ITEM_BYTES[dtype]


def _counted(content: bytes, dtype: str) -> tuple[int, int, bool]:
    """Return how many numbers are NaN and infinite, and whether all are 0 or minus infinity."""
    if dtype in BLOCKS:
        return *counted_blocks(content, BLOCKS[dtype]), False
    if dtype in _EIGHT_BITS:
        nan, infinite = _EIGHT_BITS[dtype]
        counts = np.bincount(np.frombuffer(content, np.uint8), minlength=256)
        return int(sum(counts[code] for code in nan)), int(sum(counts[code] for code in infinite)), False
    if dtype == "bfloat16":  # the upper half of a float32
        numbers = (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
    elif dtype in _FLOATS:
        numbers = np.frombuffer(content, _FLOATS[dtype])
    else:
        return 0, 0, False
    finite = np.isfinite(numbers)
    if finite.all():
        return 0, 0, not numbers.any()
    nan_count = int(np.isnan(numbers).sum())
    infinite_count = int(numbers.size - finite.sum()) - nan_count
    masks = not nan_count and not numbers[finite].any() and bool((numbers[~finite] < 0).all())
    return nan_count, infinite_count, masks


def _damaged(file: BinaryIO, layout: Layout, limit: int) -> list[str]:
    """Return the records whose bytes have not the checksum that the archive recorded."""
    found = []
    for record in layout.records:
        if record.size > limit:
            continue
        file.seek(record.start)
        left, crc = record.size, 0
        while left:
            stop_if_wanted()
            content = file.read(min(left, CHUNK_BYTES))
            if not content:
                raise NotRead("the file became shorter while it was read")
            left -= len(content)
            crc = zlib.crc32(content, crc)
        if crc != record.crc:
            found.append(record.name)
    return found
