"""Edits of a text by span, and the text they give."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audit.static.rules.rule import FixSafety


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """The characters from `start` up to, without, `end` become `text`; where both are equal, it is inserted."""

    start: int
    end: int
    text: str

    def overlaps(self, other: "Edit") -> bool:
        """Return whether the two cannot both be made: they share characters, or insert at the same place."""
        if self == other:
            return False
        if self.start == self.end or other.start == other.end:
            return self.start <= other.end and other.start <= self.end and not _apart(self, other)
        return self.start < other.end and other.start < self.end


def _apart(one: Edit, other: Edit) -> bool:
    """Return whether an insertion only touches a replacement: the order of what comes out is then clear."""
    if one.start == one.end and other.start == other.end:
        return one.start != other.start
    inserted, replaced = (one, other) if one.start == one.end else (other, one)
    return not replaced.start < inserted.start < replaced.end


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that belong together, and how safe they are.

    `rebinds` are names of the module that are gone afterwards or mean something else, which another file may import.
    """

    edits: tuple[Edit, ...]
    safety: FixSafety
    rebinds: frozenset[str] = frozenset()


def fix(edits: Iterable[Edit] | None, safety: FixSafety, *, rebinds: frozenset[str] = frozenset()) -> Fix | None:
    """Return the fix that consists of `edits`; None where there are none."""
    found = tuple(sorted(set(edits))) if edits is not None else ()
    return Fix(found, safety, rebinds) if found else None


def applied(text: str, edits: Iterable[Edit]) -> str:
    """Return `text` with edits that do not overlap; equal ones count once."""
    parts: list[str] = []
    position = 0
    for edit in sorted(set(edits)):
        assert edit.start >= position, "the edits overlap"
        parts += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join(parts) + text[position:]


def disjoint(groups: Sequence[Sequence[Edit]]) -> list[int]:
    """Return the indices of groups that can be made together; of two that overlap the first is taken."""
    taken: list[Edit] = []
    chosen: list[int] = []
    for index, group in enumerate(groups):
        if not any(edit.overlaps(other) for edit in group for other in taken):
            taken += [edit for edit in group if edit not in taken]
            chosen.append(index)
    return chosen
