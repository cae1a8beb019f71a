"""Folders for what a run writes and needs no longer. Those of runs that were killed are removed by the next one.

Each holds a file that its process keeps locked: the system frees the lock whatever ends the process, and a number of a
process may by then be another's.
"""

import fcntl
import os
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "astrobio-audit-"
_OWNER = ".owner"
_NOT_LOCKED = ".unlocked"
_KINDS = ("train-", "mutants-", "claim-", "state-")
_OF_NOBODY_S = 86_400.0  # without the file it may be one that is being made, or that of a version that locked nothing


class Scratch:
    """A folder that is removed with `remove`, when this object is gone, or at the latest when the process ends."""

    def __init__(self, kind: str) -> None:
        """Make it; `kind` becomes part of its name."""
        assert f"{kind}-" in _KINDS, "what is not known by its name would never be swept"
        self.path = tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-")
        # Locked before it has its name, so that whoever sees it free knows that its owner is gone.
        aside = os.path.join(self.path, _NOT_LOCKED)
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # where there are no locks it stays without an owner, and is swept after a day
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.rename(aside, os.path.join(self.path, _OWNER))
        self._end = weakref.finalize(self, _removed, self.path, descriptor)

    def remove(self) -> None:
        """Remove it with all that is in it; a second time does nothing."""
        self._end()


def _removed(path: str, descriptor: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)


@contextmanager
def scratch_folder(kind: str) -> Iterator[str]:
    """Lend the path of a folder that is removed afterwards."""
    made = Scratch(kind)
    try:
        yield made.path
    finally:
        made.remove()


def sweep() -> None:
    """Remove the folders of processes that are gone. Nothing is said of what cannot be removed: it is tried again."""
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(tuple(_PREFIX + kind for kind in _KINDS)):
                with suppress(OSError):
                    _sweep(Path(entry.path))


def _sweep(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():  # another's, or a link to anywhere
        return
    try:
        descriptor = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        if time.time() - status.st_mtime > _OF_NOBODY_S:
            shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:  # its owner is alive
        pass
    finally:
        os.close(descriptor)
