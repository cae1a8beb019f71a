"""What was not judged, and what would be needed: results that share an area and a reason are one entry."""

from collections.abc import Iterator
from dataclasses import dataclass

from audit.profiles import left_out_by
from audit.report.document import Report
from audit.report.text import counted
from audit.report.undeclared import UNDECLARED
from audit.results import Outcome, Result

_ORDER = (Outcome.ERROR, Outcome.SKIPPED, Outcome.NOT_APPLICABLE)
_DECLARE = "a declaration of it in the specs"
_HARDWARE = "`readiness` with a `--profile` that has it, on such a machine"


@dataclass(frozen=True)
class Unjudged:
    """Results of one area that were not judged for one reason."""

    outcome: Outcome
    area: str
    reason: str
    results: tuple[Result, ...]

    @property
    def gates(self) -> bool:
        """Whether one of them keeps a release from being ready."""
        return self.outcome is not Outcome.NOT_APPLICABLE and any(each.severity.gates_release for each in self.results)

    @property
    def checks(self) -> tuple[str, ...]:
        """The checks, each once."""
        return tuple(dict.fromkeys(each.check for each in self.results))

    @property
    def subjects(self) -> tuple[str, ...]:
        """What was not judged, each once."""
        return tuple(dict.fromkeys(each.subject.name for each in self.results))

    @property
    def needed(self) -> str | None:
        """What would let it be judged; None where the reason itself tells what is missing."""
        fixes = dict.fromkeys(each.fix for each in self.results if each.fix)
        if fixes:
            return "; ".join(fixes)
        if left_out_by(self.reason):
            return _HARDWARE
        return _DECLARE if self.outcome is Outcome.NOT_APPLICABLE else None

    @property
    def repeat(self) -> str | None:
        """The command that then judges the first of them."""
        return self.results[0].evidence.reproduce

    @property
    def counted(self) -> str:
        """How many checks of how many subjects."""
        return f"{counted(len(self.checks), 'check')} on {counted(len(self.subjects), 'subject')}"


def unjudged(report: Report) -> list[Unjudged]:
    """Return what could not be judged or was skipped, and what nothing declares or a profile leaves out.

    What gates a release comes first.
    """
    groups: dict[tuple[Outcome, str, str], list[Result]] = {}
    for result in _not_judged(report):
        key = (result.outcome, result.check.partition(".")[0], result.reason or "")
        groups.setdefault(key, []).append(result)
    found = [Unjudged(*key, tuple(results)) for key, results in groups.items()]
    return sorted(found, key=lambda each: (not each.gates, _ORDER.index(each.outcome), -len(each.results)))


def _not_judged(report: Report) -> Iterator[Result]:
    for result in report.results:
        reason = result.reason or ""
        is_told = reason.startswith(UNDECLARED) or left_out_by(reason) is not None
        if (result.outcome is Outcome.NOT_APPLICABLE and is_told) or result.outcome in (Outcome.ERROR, Outcome.SKIPPED):
            yield result
