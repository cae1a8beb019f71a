"""Which results a list of limited length shows: the most severe first, and something of every check that fails."""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.results import Outcome, Result
from audit.severity import Severity

_SEVERITIES = tuple(Severity)
_MAX_ONE_BY_ONE = 5  # failures of one check in one file; of more the first is shown, and where the others are
_MAX_LINES = 12


@dataclass(frozen=True)
class Listed:
    """A result, and those of the same check in the same file that are told with it."""

    result: Result
    repeats: tuple[Result, ...] = ()

    @property
    def of_repeats(self) -> str:
        """How many others there are, and at which lines; empty where there is none."""
        if not self.repeats:
            return ""
        lines = sorted({each.location.line for each in self.repeats if each.location and each.location.line})
        places = ", ".join(map(str, lines[:_MAX_LINES])) + (", ..." if len(lines) > _MAX_LINES else "")
        at = f", at {'line' if len(lines) == 1 else 'lines'} {places}" if lines else ""
        return f"and {len(self.repeats)} more of {self.result.check} there{at}"


def by_severity(results: Sequence[Result]) -> list[Result]:
    """Return the results with the most severe first, else in their order."""
    return sorted(results, key=lambda each: _SEVERITIES.index(each.severity))


def folded(results: Sequence[Result]) -> list[Listed]:
    """Return the results with many failures of one check in one file as one, where the first of them stands.

    What is waived says who answers for it, and stands for itself.
    """
    repeated: dict[tuple[str, str, str], list[Result]] = {}
    for each in results:
        if each.outcome is Outcome.FAILED and each.location and not each.waived:
            repeated.setdefault((each.check, each.subject.name, each.location.path), []).append(each)
    many = [group for group in repeated.values() if len(group) > _MAX_ONE_BY_ONE]
    after = {id(group[0]): tuple(group[1:]) for group in many}
    inside = {id(each) for group in many for each in group[1:]}
    return [Listed(each, after.get(id(each), ())) for each in results if id(each) not in inside]


def shortened_to(most: int, listed: Sequence[Listed]) -> list[Listed]:
    """Return `most` of them, in their order: the first of each failing check, all of these, then from the front."""
    first: dict[str, int] = {}
    for place, each in enumerate(listed):
        if each.result.outcome is Outcome.FAILED:
            first.setdefault(each.result.check, place)
    others = [place for place in range(len(listed)) if place not in first.values()]
    kept = {*first.values(), *others[: max(0, most - len(first))]}
    return [each for place, each in enumerate(listed) if place in kept]
