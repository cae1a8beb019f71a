"""Right sources and single edits of them, each with the properties one of which must fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audit.judgement import Judgement
from audit.results import Outcome

from .judged_sources import JudgedSources


@dataclass(frozen=True)
class Edit:
    """What is replaced by what, and the properties of which one must fail."""

    before: str
    after: str
    checks: tuple[str, ...]


@dataclass(frozen=True)
class Right:
    """A source, what is judged of it, and its edits by their names."""

    text: str
    judged: str
    edits: Mapping[str, Edit] = field(default_factory=dict)

    @property
    def checks(self) -> set[str]:
        """The properties that the edits fail and that this must pass."""
        return {check for edit in self.edits.values() for check in edit.checks}


def written(root: Path, head: str, rights: Mapping[str, Right]) -> JudgedSources:
    """Write each right source and each of its edits, `<name>_<edit>`."""
    texts = {name: (head + right.text, right.judged) for name, right in rights.items()}
    for name, right in rights.items():
        for key, edit in right.edits.items():
            assert right.text.count(edit.before) == 1, f"{name}: {key}: {right.text.count(edit.before)} times"
            texts[f"{name}_{key}"] = head + right.text.replace(edit.before, edit.after), right.judged
    return JudgedSources(root, texts)


def reasons(found: Mapping[str, list[Judgement]], outcome: Outcome) -> dict[str, list[str | None]]:
    """Return the reasons of all judgements of this outcome, by property."""
    return {
        check: [one.reason for one in each if one.outcome is outcome]
        for check, each in found.items()
        if any(one.outcome is outcome for one in each)
    }
