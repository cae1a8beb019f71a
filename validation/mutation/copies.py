"""Copies of the target in which mutants are tried. The target itself is never written to.

A copy holds what `validation.target_files` lists.
"""

import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue

from audit.errors import UsageError
from audit.target import Target
from validation.target_files import files_of

_OURS = ("__pycache__", ".pytest_cache")
_State = tuple[int, int, int]  # mode, size, time of the last change


class Copy:
    """One copy, which is put back to what it was after each mutant."""

    def __init__(self, origin: Path, names: list[str], folder: Path) -> None:
        """Copy the files `names` of `origin` into `folder`, which must not exist.

        Raises:
            OSError: something cannot be read or written.
        """
        self._origin = origin
        self.root = folder
        self.is_whole = True  # False from when it is lent until it has been put back
        folder.mkdir(parents=True)
        for name in names:
            self._copy(name)
        self._states = self._look()

    def _copy(self, name: str) -> None:
        source, place = self._origin / name, self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            # One that leads into the target leads to the same place of the copy: tests may write through it.
            leads = Path(os.path.normpath(source.parent / os.readlink(source)))
            inside = leads.is_relative_to(self._origin)
            place.symlink_to(
                os.path.relpath(self.root / leads.relative_to(self._origin), place.parent) if inside else leads
            )
        elif stat.S_ISREG(source.stat().st_mode):  # a pipe has no end, a socket no content
            shutil.copy2(source, place)
            os.chmod(place, stat.S_IMODE(place.stat().st_mode) | stat.S_IWUSR)

    def write(self, name: str, text: str) -> None:
        """Put another text in the place of a file; a link is replaced, not followed."""
        place = self.root / name
        place.unlink()
        place.write_text(text, encoding="utf-8", newline="")

    def restore(self) -> list[str]:
        """Put everything back; return what had changed, apart from caches.

        Raises:
            OSError: something cannot be written; what is not put back yet is the next time.
        """
        now = self._look()
        changed = sorted(name for name in now.keys() | self._states.keys() if now.get(name) != self._states.get(name))
        for name in changed:
            place = self.root / name
            if name in self._states:
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                place.unlink(missing_ok=True)
                self._copy(name)
                self._states[name] = _state(place)
            elif os.path.lexists(place):
                place.unlink()
        self.is_whole = True
        return changed

    def _look(self) -> dict[str, _State]:
        found = {}
        for path, folders, names in os.walk(self.root):
            here = Path(path)
            for name in [name for name in folders if name in _OURS]:
                shutil.rmtree(here / name, ignore_errors=True)
            folders[:] = [name for name in folders if name not in _OURS]
            for name in (*names, *(name for name in folders if (here / name).is_symlink())):
                with suppress(OSError):
                    found[(here / name).relative_to(self.root).as_posix()] = _state(here / name)
        return found


class Copies:
    """Copies of a target, as many as are used side by side, each made when it is first needed."""

    def __init__(self, target: Target, folder: Path, *, most: int) -> None:
        """Make none yet; they will be in `folder`."""
        self._target = target
        self._folder = folder
        self._most = most
        self._made = 0
        self._lock = threading.Lock()
        self._idle: SimpleQueue[Copy] = SimpleQueue()

    @cached_property
    def names(self) -> list[str]:
        """The files of every copy.

        Raises:
            UsageError: the target cannot be read.
        """
        try:
            return files_of(self._target)
        except OSError as error:
            raise self._refused(error) from error

    @contextmanager
    def lent(self) -> Iterator[Copy]:
        """Lend a copy, which is put back afterwards.

        Raises:
            UsageError: the target cannot be copied.
            OSError: a copy cannot be put back, as on a disk that is full.
        """
        copy = self._lend()
        try:
            if not copy.is_whole:
                copy.restore()
            copy.is_whole = False
            yield copy
        finally:
            try:
                copy.restore()
            finally:  # another may wait for it
                self._idle.put(copy)

    def _lend(self) -> Copy:
        with self._lock:
            if self._idle.empty() and self._made < self._most:
                root = self._target.root
                folder = self._folder / str(self._made + 1)
                try:
                    copy = Copy(root, self.names, folder / root.name)
                except OSError as error:
                    shutil.rmtree(folder, ignore_errors=True)
                    if not self._made:
                        raise self._refused(error) from error
                    self._most = self._made  # there is no room for another
                else:
                    self._made += 1
                    return copy
        return self._idle.get()

    def _refused(self, error: OSError) -> UsageError:
        return UsageError(f"{self._target.root}: cannot be copied: {error}")


def _state(path: Path) -> _State:
    seen = path.lstat()
    return (seen.st_mode, seen.st_size, seen.st_mtime_ns)
