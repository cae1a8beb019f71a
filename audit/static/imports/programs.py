"""The programs of a target's files, each decoded when it is asked for: of thousands of files they are large."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from audit.static.imports.outline import Outline
from audit.static.imports.program import Program
from audit.static.record import FileRecord
from audit.static.records import Records

_PART = "program"
_OUTLINE = "outline"
_HELD = 250  # programs; of torch, transformers, diffusers and timm the mean takes 20 kB


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a program matters to other files than those that import it.

    `digest` is that of its text, empty where there is no program; `tops` are the top-level modules that it may
    import, sorted; `is_guarded` says whether it has a `__main__` guard.
    """

    digest: str
    tops: tuple[str, ...] = ()
    is_guarded: bool = False


NO_TRAITS = Traits("")


class Programs:
    """Asked by a file's relative path."""

    def __init__(self, records: Records[FileRecord]) -> None:
        """Decode nothing yet."""
        self._records = records
        self._held: OrderedDict[str, Program | None] = OrderedDict()
        self._traits: dict[str, Traits] = {}

    def __call__(self, path: str) -> Program | None:
        """Return what importing a file does; None where it could not be read."""
        if path in self._held:
            self._held.move_to_end(path)
            return self._held[path]
        program = self._held[path] = self._records.one(_PART, path)
        if len(self._held) > _HELD:
            self._held.popitem(last=False)
        return program

    def let_go(self) -> None:
        """Hold no program any more; one that is asked for again is decoded again."""
        self._held.clear()

    def traits(self, path: str) -> Traits:
        """Return the traits of a file's program, which is not decoded for it."""
        if path not in self._traits:
            text, outline = self._records.text(_PART, path), self._records.one(_OUTLINE, path)
            self._traits[path] = NO_TRAITS if text is None or outline is None else _traits_of(text, outline)
        return self._traits[path]


def _traits_of(text: str, outline: Outline) -> Traits:
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return Traits(digest, outline.tops, outline.is_guarded)
