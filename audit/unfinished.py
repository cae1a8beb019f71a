"""Which runs have not come to their end, and are over: what they found is for the run that takes them up again.

Each run keeps a file locked as long as it lives: the system frees the lock whatever ends the process, and a number of a
process may by then be another's.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

_SUFFIX = ".run"


class Unfinished:
    """A folder for what runs have found so far, and the name of this one among them."""

    def __init__(self, folder: Path) -> None:
        """Make it; nothing is raised where that cannot be, and nothing is taken up then."""
        self.folder = folder
        self.run = secrets.token_hex(8)
        self._lock: int | None = None
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / (self.run + _SUFFIX), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._lock = lock
            except OSError:  # where there are no locks nobody could tell when it is over
                os.close(lock)

    @property
    def is_usable(self) -> bool:
        """Whether others can tell when this run is over."""
        return self._lock is not None

    def is_over(self, run: str) -> bool:
        """Return whether the process of another run is gone."""
        if not self.is_usable or run == self.run:
            return False
        return not _is_locked(self.folder / (run + _SUFFIX))

    def end(self) -> None:
        """Let go of the lock; a second time does nothing."""
        if self._lock is not None:
            with suppress(OSError):
                (self.folder / (self.run + _SUFFIX)).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def tidy(self) -> None:
        """Remove the locks of runs that are over."""
        with suppress(OSError):
            for path in self.folder.glob(f"*{_SUFFIX}"):
                if self.is_over(path.name.removesuffix(_SUFFIX)):
                    path.unlink(missing_ok=True)


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:  # another's
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
