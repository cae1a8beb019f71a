"""One benchmark at a time on a device, where two would time each other, and in a folder, where they share files."""

import fcntl
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.stopping import stop_if_wanted

_POLL_S = 0.2


class DeviceBusy(Exception):
    """Another benchmark holds the device or the folder, or whether one does cannot be told."""


@contextmanager
def device_lock(
    device: str, *, wait_s: float, tell: Callable[[str], None], folder: Path | None = None
) -> Iterator[None]:
    """Hold the lock of a device while the body runs; the system frees it whatever ends the process.

    Args:
        device: what tells the device from others on this machine.
        wait_s: how long another holder is waited for.
        tell: is told once when there is one.
        folder: where locks lie; the folder for temporary files.

    Raises:
        DeviceBusy: it was held for longer.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", device)[:100]
    with _locked(name, f"times on {device}", wait_s, tell, folder):
        yield


@contextmanager
def folder_lock(output: Path, *, wait_s: float, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a folder of results, whose journal two runs at once would take from each other.

    Raises:
        DeviceBusy: it was held for longer than `wait_s`.
    """
    name = hashlib.sha256(os.fsencode(output.resolve())).hexdigest()[:16]
    with _locked(f"folder-{name}", f"writes into {output}", wait_s, tell, None):
        yield


@contextmanager
def _locked(name: str, doing: str, wait_s: float, tell: Callable[[str], None], folder: Path | None) -> Iterator[None]:
    path = (folder or Path(tempfile.gettempdir())) / f"astrobio-audit-bench-{name}.lock"
    try:
        # Anyone may lock it; nobody's link is followed.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DeviceBusy(f"{path}: the lock cannot be opened: {error.strerror}") from error
    try:
        _acquire(descriptor, doing, wait_s, tell)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, doing: str, wait_s: float, tell: Callable[[str], None]) -> None:
    until = time.monotonic() + wait_s
    is_told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:  # held
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            if time.monotonic() >= until:
                raise DeviceBusy(
                    f"another benchmark (process {holder}) {doing}; waited {wait_s:g} s, see --wait"
                ) from None
        if not is_told:
            tell(f"waiting for another benchmark (process {holder}), which {doing}")
            is_told = True
        stop_if_wanted()
        time.sleep(_POLL_S)
