"""The programs of a target's files, each decoded when it is asked for: of thousands of files they are large."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from audit.static.imports.program import Compare, Constant, If, Name, Program, imported_names
from audit.static.record import FileRecord
from audit.static.records import Records

_PART = "program"
_HELD = 1000  # programs; of torch, transformers, diffusers and timm the mean takes 20 kB
_GUARD = {Name("__name__"), Constant("__main__")}


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
        found = self._records.one(_PART, path)
        text, program = found or ("", None)
        if path not in self._traits:
            self._traits[path] = _traits_of(text, program) if program else NO_TRAITS
        self._held[path] = program
        if len(self._held) > _HELD:
            self._held.popitem(last=False)
        return program

    def traits(self, path: str) -> Traits:
        """Return the traits of a file's program, which is decoded for it at most once."""
        if path not in self._traits:
            self(path)
        return self._traits[path]


def _traits_of(text: str, program: Program) -> Traits:
    tops = {name.partition(".")[0] for name in imported_names(program)}
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    is_guarded = any(isinstance(step, If) and _is_guard(step) for step in program.body)
    return Traits(digest, tuple(sorted(tops)), is_guarded)


def _is_guard(step: If) -> bool:
    return isinstance(step.test, Compare) and {step.test.left, step.test.right} == _GUARD
