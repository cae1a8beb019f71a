"""The loss curve as TensorBoard's event files, written without TensorBoard: `tensorboard --logdir RUN_DIR` shows it.

A file is a sequence of records: the length of the data (uint64), a checksum of the length, the data, a checksum of the
data, all little-endian. The data is a protocol buffer `Event`. Formats: tensorflow/core/lib/io/record_writer.h and
tensorboard/compat/proto/event.proto. The `tensorboard` package has a writer too, in a thread of its own, where a full
disk is noticed by nobody.
"""

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from astrobio.training.errors import WriteError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers
_FLUSH_AFTER_S = 5.0


class EventLog:
    """Scalars by step in a file of `folder`, which is new for every start of the run."""

    def __init__(self, folder: Path, *, next_step: int) -> None:
        """Open the log; what an interrupted run logged from `next_step` on is marked as void.

        Raises:
            WriteError: the file cannot be written.
        """
        # TensorBoard reads the files of a folder in the order of their names, and knows them by "tfevents".
        self._path = folder / f"events.out.tfevents.{time.time_ns():020d}.{os.getpid()}"
        self._flushed_at = time.monotonic()
        try:
            folder.mkdir(exist_ok=True)
            self._file: BinaryIO = self._path.open("xb")
        except OSError as error:
            raise self._failure(error) from error
        self._write(_text(3, "brain.Event:2"), step=next_step)
        if next_step > 1:
            self._write(_field(7, _integer(1, 1)), step=next_step)  # a session starts: purges later steps of the last

    def add(self, record: Mapping[str, float]) -> None:
        """Add one step; every value but the step itself becomes a scalar; raises WriteError."""
        values = (_field(1, _text(1, name) + _float(2, value)) for name, value in record.items() if name != "step")
        self._write(_field(5, b"".join(values)), step=int(record["step"]))

    def close(self) -> None:
        """Write what is buffered; raises WriteError."""
        try:
            self._file.close()
        except OSError as error:
            raise self._failure(error) from error

    def _write(self, content: bytes, *, step: int) -> None:
        event = _key(1, _FIXED64) + struct.pack("<d", time.time()) + _integer(2, step) + content
        length = struct.pack("<Q", len(event))
        try:
            self._file.write(length + _checksum(length) + event + _checksum(event))
            if time.monotonic() - self._flushed_at > _FLUSH_AFTER_S:  # for who looks on
                self._file.flush()
                self._flushed_at = time.monotonic()
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> WriteError:
        return WriteError(f"{self._path} cannot be written: {error.strerror}")


def _key(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _integer(number: int, value: int) -> bytes:
    return _key(number, _VARINT) + _varint(value)


def _float(number: int, value: float) -> bytes:
    try:
        return _key(number, _FIXED32) + struct.pack("<f", value)
    except OverflowError:  # finite, and beyond float32
        return _key(number, _FIXED32) + struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def _field(number: int, content: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(content)) + content


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode())


def _crc_table() -> tuple[int, ...]:
    """Of CRC-32C (Castagnoli), with the polynomial 0x1EDC6F41 in reversed bit order."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def _checksum(content: bytes) -> bytes:
    """CRC-32C, rotated and shifted as the format wants it, so that a checksum of checksums is not trivial."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF)
