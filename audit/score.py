"""Score, coverage and verdict from finished results: the arithmetic of a report, and nothing else.

Within an area every check weighs the same, whatever its number of subjects, so that a thousand files that parse do not
outweigh one model that ignores its mask. Areas combine by minimum: strength in one cannot hide absence in another.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from fractions import Fraction

from audit.results import Frozen, Outcome, Result

_STEPS = 1_000_000  # six digits: reports of the same results are the same text


class Verdict(StrEnum):
    """What a complete run says. The first four are a release's; the area commands say `clean` or `findings`."""

    READY = "ready"
    READY_WITH_WAIVERS = "ready with waivers"
    NOT_READY = "not ready"
    INCOMPLETE = "incomplete"
    CLEAN = "clean"
    FINDINGS = "findings"


class Area(Frozen):
    """Counts, score and coverage of one area; score and coverage are None where nothing in it applies."""

    name: str
    score: float | None
    coverage: float | None
    passed: int
    failed: int
    error: int
    skipped: int
    not_applicable: int


class Summary(Frozen):
    """Areas by name, and their minimum."""

    areas: tuple[Area, ...]
    score: float | None
    coverage: float | None


def summarise(results: Iterable[Result]) -> Summary:
    """Count results by area. `not_applicable` leaves the denominator; `skipped` and `error` stay in it."""
    by_area: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_area[result.check.partition(".")[0]].append(result)
    areas = tuple(_area(name, by_area[name]) for name in sorted(by_area))
    scores = [area.score for area in areas if area.score is not None]
    coverages = [area.coverage for area in areas if area.coverage is not None]
    return Summary(areas=areas, score=min(scores, default=None), coverage=min(coverages, default=None))


def verdict(results: Sequence[Result], *, release: bool, every_failure_counts: bool = False) -> Verdict:
    """Return the verdict of a run that was not cut short.

    A failed check that gates the release is `not ready`, whatever the score; without a release any failed check can be
    made to count. Otherwise a check that was not judged, or a run in which nothing was judged, is `incomplete`. What is
    set apart, because it was there before, counts for a release alone. What is waived counts for neither, and a release
    that rests on that says so; a pass is needed beside it.
    """
    gating = [result for result in results if result.severity.gates_release]
    failed = [result for result in (results if every_failure_counts else gating) if result.outcome is Outcome.FAILED]
    if any((release or not result.set_apart) and not result.waived for result in failed):
        return Verdict.NOT_READY if release else Verdict.FINDINGS
    unjudged = any(result.outcome in (Outcome.ERROR, Outcome.SKIPPED) for result in gating)
    concluded = any(
        each.outcome is Outcome.PASSED or ((each.set_apart or each.waived) and not release) for each in results
    )
    if unjudged or not concluded:
        return Verdict.INCOMPLETE
    if not release:
        return Verdict.CLEAN
    return Verdict.READY_WITH_WAIVERS if any(result.waived for result in failed) else Verdict.READY


def _area(name: str, results: Sequence[Result]) -> Area:
    by_check: dict[str, list[Outcome]] = defaultdict(list)
    for result in results:
        if result.outcome is not Outcome.NOT_APPLICABLE:
            by_check[result.check].append(result.outcome)
    outcomes = list(by_check.values())
    counts = {outcome.value: sum(result.outcome is outcome for result in results) for outcome in Outcome}
    return Area(
        name=name,
        score=_mean_share(outcomes, {Outcome.PASSED}),
        coverage=_mean_share(outcomes, {Outcome.PASSED, Outcome.FAILED}),
        **counts,
    )


def _mean_share(outcomes: Sequence[Sequence[Outcome]], wanted: set[Outcome]) -> float | None:
    if not outcomes:
        return None
    shares = [Fraction(sum(outcome in wanted for outcome in each), len(each)) for each in outcomes]
    # Rounded down, and exact until then: 1.0 means all, however many there are.
    return math.floor(sum(shares) / len(shares) * _STEPS) / _STEPS
