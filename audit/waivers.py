"""Waivers: failures that an owner answers for until a day, as `[[tool.astrobio-audit.waivers]]` declares them.

A waived failure stays failed and earns no credit; it only does not count for the verdict and the exit code, and the
report says so beside the verdict.
"""

import datetime
import fnmatch
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from audit.near import nearest
from audit.results import Frozen, Outcome, Result
from audit.severity import Severity

_MOST_NAMED = 3
IN_NO_RUN = "the run has no such check and subject; take it out, or mend its names"
IN_NO_PART = "this part of the plan has no such check and subject"
Said = Annotated[str, Field(pattern=r"\S")]
State = Literal["in force", "unused", "expired", "too wide"]


def _day(value: object) -> object:
    if isinstance(value, datetime.datetime):
        raise ValueError("should be a day without a time, such as 2027-01-31")
    if isinstance(value, str):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            raise ValueError("should be a day, such as 2027-01-31") from None
    if not isinstance(value, datetime.date):
        raise ValueError("should be a day, such as 2027-01-31")
    return value


class Waiver(BaseModel):
    """Which failures are waived, who answers for it, why, and until when."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    check: Annotated[Said, Field(description="Id of a check, or a pattern with `*`.")]
    subject: Annotated[Said, Field(description="Name of a subject as a report has it, or a pattern with `*`.")]
    owner: Annotated[Said, Field(description="Who answers for it.")]
    reason: Annotated[Said, Field(description="Why the release does not wait for it.")]
    expires: Annotated[datetime.date, BeforeValidator(_day), Field(description="The last day on which it waives.")]

    def names(self, result: Result) -> bool:
        """Whether the waiver is about a result, whatever its outcome."""
        return _names(self.check, result.check) and _names(self.subject, result.subject.name)

    def covers(self, result: Result) -> bool:
        """Whether the waiver can waive a failure that it names: a critical one has to be named exactly."""
        exact = (self.check, self.subject) == (result.check, result.subject.name)
        return exact or result.severity is not Severity.CRITICAL


def _names(pattern: str, name: str) -> bool:
    return pattern == name or fnmatch.fnmatchcase(name, pattern)


class Day(Frozen):
    """The day by which waivers expire: the later one of the clock's and the commit's.

    A clock that was set back then brings no waiver to life again, unless the commit is as old.
    """

    day: datetime.date
    origin: Literal["clock", "commit"]

    @classmethod
    def of(cls, clock: datetime.date, commit: datetime.date | None) -> "Day":
        """Return the later one of two days."""
        if commit is not None and commit > clock:
            return cls(day=commit, origin="commit")
        return cls(day=clock, origin="clock")


class WaiverRow(Frozen):
    """A waiver in a report: what it came to in this run."""

    check: str
    subject: str
    owner: str
    reason: str
    expires: datetime.date
    state: State
    waives: Annotated[int, Field(ge=0, lt=2**63, description="Failures that do not count because of it.")]
    remark: Annotated[str | None, Field(description="Why it waives nothing, or not all that it names.")] = None


def waive(
    results: Sequence[Result],
    waivers: Sequence[Waiver],
    by: Day | None,
    *,
    absent: str | None = IN_NO_RUN,
    every_area: bool = True,
) -> tuple[list[Result], tuple[WaiverRow, ...]]:
    """Mark the failures that are waived and no others, and say what each waiver came to.

    Args:
        results: of a run.
        waivers: as configured; of several that cover one failure the first counts.
        by: the day by which they expire; None where there are none.
        absent: what is said of a waiver about nothing that was run; None leaves it out.
        every_area: whether all were run; else a waiver about an area of which nothing was run is left out.
    """
    marked = [result.model_copy(update={"waived": None}) if result.waived else result for result in results]
    rows: list[WaiverRow] = []
    if by is None:
        return marked, ()
    on = by.day
    areas = {_area(result.check) for result in results}
    for waiver in waivers:
        named = [place for place, result in enumerate(results) if waiver.names(result)]
        if not named:
            is_ours = every_area or "." not in waiver.check or _area(waiver.check) in areas  # without one it names none
            if absent and is_ours:
                rows.append(_row(waiver, [], covered=0, waives=0, on=on, absent=absent + _meant(waiver, results)))
            continue
        failed = [place for place in named if results[place].outcome is Outcome.FAILED]
        covered = [place for place in failed if waiver.covers(results[place])]
        taken = [] if on > waiver.expires else [place for place in covered if marked[place].waived is None]
        for place in taken:
            marked[place] = marked[place].model_copy(update={"waived": _answer(waiver)})
        of = [results[place] for place in named]
        rows.append(_row(waiver, of, covered=len(covered), waives=len(taken), on=on))
    return marked, tuple(rows)


def _meant(waiver: Waiver, results: Sequence[Result]) -> str:
    """Return what a check that no result is of may be called; empty where nothing is near, or where it is one."""
    checks = {result.check for result in results}
    near = [] if waiver.check in checks else nearest(waiver.check, checks)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _area(check: str) -> str:
    return check.partition(".")[0]


def _answer(waiver: Waiver) -> str:
    return f"waived by {waiver.owner} until {waiver.expires}: {waiver.reason}"


def _row(
    waiver: Waiver, named: Sequence[Result], *, covered: int, waives: int, on: datetime.date, absent: str | None = None
) -> WaiverRow:
    failed = [result for result in named if result.outcome is Outcome.FAILED]
    wide = [result for result in failed if not waiver.covers(result)]
    state: State = "in force"
    remark = f"it does not cover {_listed(wide)}: a critical failure has to be named exactly" if wide else None
    if on > waiver.expires:
        state = "expired"
        counts = f"{_listed(failed)} counts again unless another waiver covers it"
        counting = counts if failed else "nothing that it names fails"
        remark = f"it expired on {waiver.expires}, and {counting}"
    elif not waives and covered:
        state, remark = "unused", "another waiver above it covers the same"
    elif not waives and wide:
        state = "too wide"
    elif not waives:
        state, remark = "unused", absent or _why_unused(named)
    return WaiverRow(**waiver.model_dump(), state=state, waives=waives, remark=remark)


def _why_unused(named: Sequence[Result]) -> str:
    unjudged = [result for result in named if result.outcome in (Outcome.ERROR, Outcome.SKIPPED)]
    if unjudged:
        return f"{_listed(unjudged)} was not judged, which cannot be waived"
    return "nothing that it names fails any more; take it out"


def _listed(results: Iterable[Result]) -> str:
    names = list(dict.fromkeys(f"{result.check} on {result.subject.name}" for result in results))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def waivers_in(rows: Sequence[WaiverRow]) -> list[Waiver]:
    """Return the waivers of a report as they were configured."""
    return [Waiver(**row.model_dump(include=set(Waiver.model_fields))) for row in rows]


def contradiction(
    results: Sequence[Result], rows: Sequence[WaiverRow], day: Day | None, *, is_part: bool = False
) -> str | None:
    """Return how marks on results and rows of waivers disagree; None where the one follows from the other."""
    if (day is None) != (not rows):
        return "waivers come with the day by which they expire, and that with waivers"
    if day is None:
        return "results are waived, and no waiver is listed" if any(result.waived for result in results) else None
    marked, expected = waive(results, waivers_in(rows), day, absent=IN_NO_PART if is_part else IN_NO_RUN)
    if expected != tuple(rows):
        return "what the waivers came to does not follow from the results"
    if [result.waived for result in marked] != [result.waived for result in results]:
        return "the results that are waived do not follow from the waivers"
    return None
