"""Collects what the target prints: the last part is kept, the rest is only counted."""

import contextlib
import os
import tempfile
import threading
from collections import deque
from pathlib import Path

KEPT_BYTES = 16 * 1024
_READ_BYTES = 256 * 1024


class OutputTail:
    """A FIFO with a reader thread. The first line is the child's process id; everything after it is output."""

    def __init__(self) -> None:
        """Create the FIFO and start reading."""
        self._folder = tempfile.TemporaryDirectory(prefix="astrobio-audit-")
        self.path = Path(self._folder.name) / "output"
        os.mkfifo(self.path, 0o600)
        # Read and write: the reader sees no end of file before the child opens its side, and open() does not wait.
        self._descriptor = os.open(self.path, os.O_RDWR)
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self.pid_known = threading.Event()
        self.pid: int | None = None
        self.total_bytes = 0
        self._closed = False
        self._thread = threading.Thread(target=self._read, name="probe-output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        head = b""
        while not self._closed:
            chunk = os.read(self._descriptor, _READ_BYTES)
            if self.pid is None:
                head += chunk
                line, newline, chunk = head.partition(b"\n")
                if not newline:
                    continue
                self.pid = int(line)
                self.pid_known.set()
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

    def close(self) -> None:
        """Stop reading and remove the FIFO."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            os.write(self._descriptor, b"\n")  # wakes the reader, which then sees that it is closed
        self._thread.join(timeout=5)
        os.close(self._descriptor)
        self._folder.cleanup()
