"""The classic formats of netCDF: what the header says of sizes and places, and whether the file reaches so far.

The layout is that of the NetCDF User's Guide, appendix "The NetCDF Classic Format Specification": numbers are
big-endian, names and values are padded to four bytes, and the records of all variables with the unlimited dimension
follow each other, one record of each in turn.
"""

import math
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from validation.readiness.checkpoints.forms import Malformed, NotRead

VERSIONS = {b"CDF\x01": (4, 4), b"CDF\x02": (4, 8), b"CDF\x05": (8, 8)}  # bytes of a number, of a place in the file
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}  # by type, from NC_BYTE to NC_UINT64
_MOST_HEADER = 8 * 2**20
_MOST_ENTRIES = 100_000


class _Variable(NamedTuple):
    """Where the values of a variable begin, and how many bytes they take: of one record, where it has records."""

    begin: int
    size: int
    has_records: bool


def look_at_classic(file: BinaryIO, size: int) -> None:
    """Judge a file of which the first four bytes are one of `VERSIONS`.

    Raises:
        Malformed: the header is damaged, or the values that it tells of are not all there.
        NotRead: the header is larger than what is read of one.
    """
    file.seek(0)
    header = _Header(file.read(_MOST_HEADER), size)
    end = max((each.begin + each.size for each in header.variables if not each.has_records), default=0)
    recorded = [each for each in header.variables if each.has_records]
    if recorded and header.num_records:
        # Of a single variable the records are not padded, so that those of bytes and shorts follow without a gap.
        step = recorded[0].size if len(recorded) == 1 else sum(_padded(each.size) for each in recorded)
        end = max(end, max(each.begin + (header.num_records - 1) * step + each.size for each in recorded))
    if end > size:
        raise Malformed(f"the header says that values end at byte {end}, and the file has {size}: it was cut off")


class _Header:
    """The header, read to its end when it is made."""

    def __init__(self, content: bytes, size: int) -> None:
        self._content, self._size, self._at = content, size, 4
        self._wide, self._wide_place = VERSIONS[content[:4]]
        counted = self._number(self._wide)
        # All bits set: it was written as a stream, and the number of records is not known.
        self.num_records = 0 if counted == 2 ** (8 * self._wide) - 1 else counted
        self._lengths = [self._dimension() for _ in self._entries(_DIMENSIONS)]
        self._skip_attributes()
        self.variables = [self._variable() for _ in self._entries(_VARIABLES)]

    def _bytes(self, count: int) -> bytes:
        found = self._content[self._at : self._at + count]
        if len(found) < count:
            if self._size > len(self._content):
                raise NotRead(f"a netCDF header of more than {_MOST_HEADER // 2**20} MiB")
            raise Malformed("the netCDF header is cut off")
        self._at += count
        return found

    def _number(self, wide: int) -> int:
        return int.from_bytes(self._bytes(wide), "big")

    def _entries(self, tag: int) -> Iterator[int]:
        found, count = self._number(4), self._number(self._wide)
        if found not in (tag, 0) or (found == 0 and count):
            raise Malformed("the netCDF header is damaged")
        if count > _MOST_ENTRIES:
            raise NotRead(f"a netCDF header with {count} entries of a kind")
        return iter(range(count))

    def _skip(self, count: int) -> None:
        self._bytes(_padded(count))

    def _dimension(self) -> int:
        self._skip(self._number(self._wide))  # its name
        return self._number(self._wide)

    def _skip_attributes(self) -> None:
        for _ in self._entries(_ATTRIBUTES):
            self._skip(self._number(self._wide))
            wide = self._width()
            self._skip(wide * self._number(self._wide))

    def _width(self) -> int:
        kind = self._number(4)
        if kind not in _SIZES:
            raise Malformed(f"the netCDF header has a type {kind}, which does not exist")
        return _SIZES[kind]

    def _variable(self) -> _Variable:
        self._skip(self._number(self._wide))
        count = self._number(self._wide)
        if count > _MOST_ENTRIES:
            raise NotRead(f"a netCDF variable with {count} dimensions")
        places = [self._number(self._wide) for _ in range(count)]
        if any(place >= len(self._lengths) for place in places):
            raise Malformed("a netCDF variable has a dimension that is not there")
        self._skip_attributes()
        wide = self._width()
        self._number(self._wide)  # its size as written, which large variables overflow
        begin = self._number(self._wide_place)
        lengths = [self._lengths[place] for place in places]
        has_records = bool(lengths) and lengths[0] == 0  # the unlimited dimension, which is the first
        return _Variable(begin, wide * math.prod(lengths[1:] if has_records else lengths), has_records)


def _padded(count: int) -> int:
    return (count + 3) // 4 * 4
