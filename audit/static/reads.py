"""Which files answers were made from, so that one changed file costs the answers that it can change.

Answers are kept while they are given, and one that is given again counts as read from the same files again.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")
Kept = dict[_Key, tuple[_Value, tuple[str, ...]]]  # an answer, and the paths it was made from


class Reads:
    """For each file on whose behalf others are read, the paths of these."""

    def __init__(self) -> None:
        """Nothing is read yet, and on behalf of no file."""
        self.of: dict[str, set[str]] = {}
        self._current: set[str] = set()

    def begin(self, path: str) -> None:
        """What is read from here on is read for the file at `path`."""
        self._current = self.of.setdefault(path, set())

    def note(self, path: str) -> None:
        """Note that the file at `path` is read."""
        self._current.add(path)

    def answer(self, kept: Kept[_Key, _Value], key: _Key, make: Callable[[], _Value]) -> _Value:
        """Return what is `kept` under `key`, made where it is missing, and note what it was made from."""
        if key not in kept:
            around, self._current = self._current, set()
            try:
                value = make()
            finally:
                read, self._current = self._current, around
            kept[key] = value, tuple(read)
        value, paths = kept[key]
        self._current.update(paths)
        return value


def readers_of(paths: Iterable[str], reads: Mapping[str, Collection[str]]) -> set[str]:
    """Return `paths` and all whose answers may depend on what is there, through however many others."""
    readers: dict[str, list[str]] = defaultdict(list)
    for reader, read in reads.items():
        for path in read:
            readers[path].append(reader)
    found = set(paths)
    pending = list(found)
    while pending:
        for reader in readers.get(pending.pop(), ()):
            if reader not in found:
                found.add(reader)
                pending.append(reader)
    return found
