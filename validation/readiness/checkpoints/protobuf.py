"""The fields of a protobuf message, without its schema: number, kind and place of each, and nothing kept in memory.

https://protobuf.dev/programming-guides/encoding/ is the format; groups, which it gave up, are not read.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from validation.readiness.checkpoints.forms import Malformed, NotRead

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
MAX_FIELDS = 2_000_000
_FIXED = {FIXED_64: 8, FIXED_32: 4}
_HEAD_BYTES = 20  # two numbers of at most ten bytes
_MAX_NUMBER_BYTES = 10


class Field(NamedTuple):
    """A field: its number and kind, where its content begins and how long that is, and the number of a VARINT."""

    number: int
    kind: int
    start: int
    length: int
    value: int


class Message:
    """A file of one message; what lies in it is counted, so that no file takes forever."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Read nothing yet."""
        self._file = file
        self._left = MAX_FIELDS
        self.size = size

    def fields(self, start: int, length: int) -> Iterator[Field]:
        """Yield the fields of a message that lies within the file.

        Raises:
            Malformed: it is no message, or ends within a field.
            NotRead: the file has more fields than are looked at.
        """
        place, end = start, start + length
        while place < end:
            self._left -= 1
            if self._left < 0:
                raise NotRead(f"it has more than the {MAX_FIELDS} fields that are looked at")
            head = self.content(place, min(_HEAD_BYTES, end - place))
            key, used = _number(head, 0)
            number, kind = key >> 3, key & 7
            value = 0
            if not number or kind not in (VARINT, BYTES, *_FIXED):
                raise Malformed(f"at byte {place} stands what begins no field")
            if kind in _FIXED:
                begin, size = place + used, _FIXED[kind]
            else:
                value, behind = _number(head, used)
                begin, size = (place + used, behind - used) if kind == VARINT else (place + behind, value)
            if begin + size > end:
                raise Malformed(f"the field at byte {place} ends {begin + size - end} bytes too late: it was cut off")
            yield Field(number, kind, begin, size, value)
            place = begin + size

    def numbers(self, field: Field) -> Iterator[int]:
        """Yield the numbers of a field that has them packed, or the one that it is."""
        if field.kind == VARINT:
            yield field.value
        elif field.kind == BYTES:
            place, end = field.start, field.start + field.length
            while place < end:
                self._left -= 1
                if self._left < 0:
                    raise NotRead(f"it has more than the {MAX_FIELDS} numbers that are looked at")
                value, used = _number(self.content(place, min(_MAX_NUMBER_BYTES, end - place)), 0)
                yield value
                place += used

    def content(self, start: int, length: int) -> bytes:
        """Return bytes of the file."""
        self._file.seek(start)
        return self._file.read(length)


def _number(head: bytes, start: int) -> tuple[int, int]:
    """Return a number, seven bits of which are in each byte, and the place behind it."""
    value = 0
    for index, byte in enumerate(head[start : start + _MAX_NUMBER_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (2**64 - 1), start + index + 1
    raise Malformed("a number of the file does not end: it was cut off, or is no protobuf")
