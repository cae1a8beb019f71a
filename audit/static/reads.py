"""Which files answers were made from, so that one changed file costs the answers that it can change.

Answers are kept while they are given, and one that is given again counts as read from the same files again. Sets of
files are numbers with a bit for each: those of torch, transformers, diffusers and timm are read 1,200,000 times.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")
Kept = dict[_Key, tuple[_Value, int]]  # an answer, and the files it was made from


class Reads:
    """For each file on whose behalf others are read, these. `paths` are the files in the order of their bits."""

    def __init__(self, paths: Sequence[str] = ()) -> None:
        """Nothing is read yet, and on behalf of no file; the first bits are those of `paths`."""
        self._bits = {path: 1 << place for place, path in enumerate(paths)}
        self._of: dict[str, int] = {}
        self._reader: str | None = None
        self._current = 0

    @property
    def paths(self) -> list[str]:
        """The files in the order of their bits."""
        return list(self._bits)

    @property
    def of(self) -> Mapping[str, int]:
        """By reader, what was read for it."""
        self.begin(None)
        return self._of

    def begin(self, reader: str | None) -> None:
        """What is read from here on is read for the file `reader`; None: for none that counts."""
        if self._reader is not None:
            self._of[self._reader] = self._current
        self._reader = reader
        self._current = 0 if reader is None else self._of.get(reader, 0)

    def note(self, path: str) -> None:
        """Note that the file at `path` is read."""
        bit = self._bits.get(path)
        if bit is None:
            bit = self._bits[path] = 1 << len(self._bits)
        self._current |= bit

    def answer(self, kept: Kept[_Key, _Value], key: _Key, make: Callable[[], _Value]) -> _Value:
        """Return what is `kept` under `key`, made where it is missing, and note what it was made from."""
        if key not in kept:
            around, self._current = self._current, 0
            try:
                value = make()
            finally:
                read, self._current = self._current, around
            kept[key] = value, read
        value, read = kept[key]
        self._current |= read
        return value


def readers_of(changed: Iterable[str], reads: Mapping[str, int], paths: Sequence[str]) -> set[str]:
    """Return what is `changed` and all files whose answers may depend on it, through however many others.

    `reads` are by reader, with the bits of `paths`.
    """
    bits = {path: 1 << place for place, path in enumerate(paths)}
    found = set(changed)
    mask = _union(found, bits)
    while mask:
        new = {reader for reader, read in reads.items() if read & mask} - found
        found |= new
        mask = _union(new, bits)
    return found


def _union(paths: Iterable[str], bits: Mapping[str, int]) -> int:
    mask = 0
    for path in paths:
        mask |= bits.get(path, 0)
    return mask
