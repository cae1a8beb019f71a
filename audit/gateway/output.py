"""Collects what the target prints: the last part is kept, the rest is only counted."""

import os
import threading
from collections import deque
from typing import IO

KEPT_BYTES = 16 * 1024
_READ_BYTES = 256 * 1024


class OutputTail:
    """Reads a stream to its end in a thread of its own."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Start reading; the stream is closed at its end."""
        self._stream = stream
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self.total_bytes = 0
        self._thread = threading.Thread(target=self._read, name="probe-output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            while chunk := os.read(self._stream.fileno(), _READ_BYTES):
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        with self._lock:
            self.total_bytes += len(chunk)
            self._kept.append(chunk[-KEPT_BYTES:])
            self._kept_bytes += len(self._kept[-1])
            while self._kept and self._kept_bytes - len(self._kept[0]) >= KEPT_BYTES:
                self._kept_bytes -= len(self._kept.popleft())

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the output as text."""
        with self._lock:
            kept = b"".join(self._kept)[-KEPT_BYTES:]
        return "\n".join(kept.decode(errors="replace").splitlines()[-lines:])

    def finish(self, within_s: float) -> None:
        """Wait until everything is read; whoever could still write must have ended before."""
        self._thread.join(timeout=within_s)
