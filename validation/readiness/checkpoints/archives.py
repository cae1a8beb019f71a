"""Reads the directory of a zip archive from the file's end, within limits and without believing it."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from validation.readiness.checkpoints.forms import MAX_DIRECTORY_BYTES, MAX_ENTRIES, Malformed, NotRead

_END = struct.Struct("<4s4H2LH")  # signature, disks, entries, size and place of the directory, length of the comment
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_COMMENT = 65_535
_UNKNOWN_16, _UNKNOWN_32 = 0xFFFF, 0xFFFFFFFF  # the number stands in a field of 64 bits
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive: where its bytes begin, and how many they are there and unpacked."""

    name: str
    start: int
    stored_bytes: int
    size_bytes: int
    is_packed: bool
    crc: int


def entries_of(file: BinaryIO, size: int) -> tuple[Entry, ...]:
    """Return what a zip archive of `size` bytes holds, in the order of its directory.

    Raises:
        Malformed: it is cut off, contradicts itself, or names files outside of itself.
        NotRead: its directory is larger than the limits.
    """
    place, length, count = _directory(file, size)
    if place + length > size:
        raise Malformed(f"the archive's directory of {length} bytes reaches beyond the end of the file")
    if count > MAX_ENTRIES or length > MAX_DIRECTORY_BYTES:
        raise NotRead(
            f"the archive says that it holds {count} files in a directory of {length} bytes; at most {MAX_ENTRIES} "
            f"and {MAX_DIRECTORY_BYTES} are read"
        )
    if count * _ENTRY.size > length:
        raise Malformed(f"the archive says that it holds {count} files, and its directory has {length} bytes")
    file.seek(place)
    content = file.read(length)
    found = tuple(_entries(file, content, count, place))
    _refuse_overlaps(found)
    return found


def unpacked(file: BinaryIO, entry: Entry, limit: int) -> bytes:
    """Return the content of an entry.

    Raises:
        NotRead: it has more than `limit` bytes.
        Malformed: it is not what its directory says.
    """
    if max(entry.size_bytes, entry.stored_bytes) > limit:
        raise NotRead(f"{entry.name} has more than the {limit} bytes that are read")
    file.seek(entry.start)
    content = file.read(entry.stored_bytes)
    if entry.is_packed:
        engine = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = engine.decompress(content, entry.size_bytes + 1)
        except zlib.error as problem:
            raise Malformed(f"{entry.name} cannot be unpacked: {problem}") from problem
    if len(content) != entry.size_bytes:
        raise Malformed(f"{entry.name} has not the {entry.size_bytes} bytes that the archive's directory says")
    if entry.crc and zlib.crc32(content) != entry.crc:
        raise Malformed(f"{entry.name} has been changed: its checksum is not that of the archive's directory")
    return content


def _directory(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """Return place, length and number of entries of the directory."""
    tail_start = max(0, size - _END.size - _MAX_COMMENT)
    file.seek(tail_start)
    tail = file.read(size - tail_start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise Malformed("the zip archive has no end: it was cut off, or is not whole yet")
    _, _, _, _, count, length, place, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    if count == _UNKNOWN_16 or _UNKNOWN_32 in (length, place):
        if end < _LOCATOR.size:
            raise Malformed("the zip archive names a second end that is not there")
        file.seek(end - _LOCATOR.size)
        signature, _, second, _ = _LOCATOR.unpack(file.read(_LOCATOR.size))
        if signature != b"PK\x06\x07" or second + _END_64.size > size:
            raise Malformed("the zip archive names a second end that is not there")
        file.seek(second)
        signature, *_, count, length, place = _END_64.unpack(file.read(_END_64.size))
        if signature != b"PK\x06\x06":
            raise Malformed("the zip archive names a second end that is not there")
    return place, length, count


def _entries(file: BinaryIO, content: bytes, count: int, limit: int) -> Iterator[Entry]:
    position = 0
    seen: set[str] = set()
    for _ in range(count):
        if position + _ENTRY.size > len(content):
            raise Malformed("the archive's directory ends too early")
        fields = _ENTRY.unpack_from(content, position)
        signature, _, _, flags, method, _, _, crc, stored, size, named, extra, comment, _, _, _, start = fields
        if signature != b"PK\x01\x02":
            raise Malformed("the archive's directory is damaged")
        behind = position + _ENTRY.size
        name = content[behind : behind + named].decode("utf-8", "backslashreplace")
        size, stored, start = _in_full(content[behind + named : behind + named + extra], size, stored, start)
        position = behind + named + extra + comment
        _refuse_name(name, seen)
        if flags & 1:
            raise NotRead(f"{_shown(name)} is encrypted")
        if method not in (_STORED, _DEFLATED):
            raise NotRead(f"{_shown(name)} is packed by method {method}, which is not read")
        begin = _begin(file, start, limit, name)
        if begin + stored > limit:
            raise Malformed(f"{_shown(name)} reaches into the archive's directory, or beyond the end of the file")
        if method == _STORED and stored != size:
            raise Malformed(f"{_shown(name)} is stored as it is, and its sizes differ: {stored} and {size} bytes")
        yield Entry(name, begin, stored, size, method == _DEFLATED, crc)


def _in_full(extra: bytes, *numbers: int) -> tuple[int, int, int]:
    """Return the numbers, in place of those that do not fit the ones of 64 bits in the extra field 1."""
    full = list(numbers)
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            wide = extra[position + 4 : position + 4 + length]
            values = iter(struct.iter_unpack("<Q", wide[: len(wide) // 8 * 8]))
            for index, number in enumerate(full):
                if number == _UNKNOWN_32:
                    full[index] = next(values, (number,))[0]
        position += 4 + length
    return full[0], full[1], full[2]


def _begin(file: BinaryIO, start: int, limit: int, name: str) -> int:
    """Return where an entry's bytes begin, behind its own head."""
    if start + _LOCAL.size > limit:
        raise Malformed(f"{_shown(name)} begins beyond the end of the file")
    file.seek(start)
    fields = _LOCAL.unpack(file.read(_LOCAL.size))
    if fields[0] != b"PK\x03\x04":
        raise Malformed(f"{_shown(name)} is not where the archive's directory says")
    return int(start + _LOCAL.size + fields[-2] + fields[-1])


def _refuse_name(name: str, seen: set[str]) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or name[1:2] == ":":
        raise Malformed(f"the archive names a file outside of itself: {_shown(name)}")
    if name in seen:
        raise Malformed(f"the archive holds two files called {_shown(name)}")
    seen.add(name)


def _refuse_overlaps(entries: tuple[Entry, ...]) -> None:
    """Two entries that share bytes are how a small archive unpacks to a huge one."""
    end = 0
    for entry in sorted(entries, key=lambda each: (each.start, each.stored_bytes)):
        if entry.start < end:
            raise Malformed(f"{_shown(entry.name)} overlaps another file of the archive")
        end = max(end, entry.start + entry.stored_bytes)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")
