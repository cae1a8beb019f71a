"""What changed between two finished reports. Computes from what they say, and judges nothing again."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from audit.errors import UsageError
from audit.gates import Gates
from audit.profiles import Profile, left_out_by
from audit.report.document import Report
from audit.report.text import percent
from audit.results import Frozen, Outcome, Result
from audit.score import Verdict

DIFF_VERSION: Final = "1.1"
_RANK = {
    Verdict.READY: 3,
    Verdict.CLEAN: 3,
    Verdict.READY_WITH_WAIVERS: 2,
    Verdict.INCOMPLETE: 1,
    Verdict.NOT_READY: 0,
    Verdict.FINDINGS: 0,
}
Key = tuple[str, str, str, str]  # check, kind and name of the subject, fingerprint


class Entry(Frozen):
    """One check on one subject, before and after."""

    check: str
    subject: str
    kind: str
    fingerprint: str | None
    gates_release: bool
    before: Outcome | None
    after: Outcome | None
    reason: Annotated[str | None, Field(description="Of the later outcome, else of the earlier one.")]
    waived: Annotated[str | None, Field(description="Who answers for the later failure, until when, and why.")] = None


class Side(Frozen):
    """What a report says of itself."""

    commit: str | None
    dirty: bool | None
    verdict: Verdict | None
    score: float | None
    coverage: float | None
    partial: bool
    profile: Annotated[Profile | None, Field(description="The hardware that the release was judged for.")] = None


class Difference(Frozen):
    """A comparison of two reports, the older one first. Sorted, so that the same two give the same text."""

    schema_version: Literal["1.1"]
    command: str
    package: str
    old: Side
    new: Side
    new_failures: tuple[Entry, ...]
    fixed: tuple[Entry, ...]
    still_failing: tuple[Entry, ...]
    no_longer_judged: tuple[Entry, ...]
    newly_judged: tuple[Entry, ...]
    worse: Annotated[bool, Field(description="Whether anything got worse, be it that less of a release is judged.")]
    says: Annotated[str, Field(description="Whether the release got better, and why.")]

    @property
    def exit_code(self) -> int:
        """1 where it got worse, else 0."""
        return 1 if self.worse else 0


def difference(old: Report, new: Report) -> Difference:
    """Compare two reports of one command on one package.

    Raises:
        UsageError: they are of different commands or packages.
    """
    for what, before, after in (
        ("command", old.command, new.command),
        ("package", old.provenance.package, new.provenance.package),
    ):
        if before != after:
            raise UsageError(f"the reports are of another {what}: {before} and {after}; compare like with like")
    entries = _entries(old.results, new.results, new.gates)
    was, is_ = _Judged(old.results), _Judged(new.results)
    failed = Outcome.FAILED
    new_failures = _those(entries, lambda each: each.after is failed and each.before is not failed)
    fixed = _those(entries, lambda each: each.before is failed and _is_mended(each, is_))
    gone = _those(entries, lambda each: was.has(each, each.before) and not is_.has(each, each.after))
    lost = _those(gone, lambda each: each not in fixed)
    seen = _those(entries, lambda each: is_.has(each, each.after) and not was.has(each, each.before))
    gained = _those(seen, lambda each: each not in new_failures)
    sides = _side(old), _side(new)
    worse = _is_worse(old, new, new_failures, lost)
    failing = _is_worse(old, new, new_failures, ())
    return Difference(
        schema_version=DIFF_VERSION,
        command=new.command,
        package=new.provenance.package,
        old=sides[0],
        new=sides[1],
        new_failures=new_failures,
        fixed=fixed,
        still_failing=_those(entries, lambda each: each.before is failed and each.after is failed),
        no_longer_judged=lost,
        newly_judged=gained,
        worse=worse,
        says=_says(
            *sides, new_failures=new_failures, fixed=fixed, lost=lost, gained=gained, worse=worse, failing=failing
        ),
    )


def _those(entries: Iterable[Entry], wanted: Callable[[Entry], bool]) -> tuple[Entry, ...]:
    return tuple(each for each in entries if wanted(each))


class _Judged:
    """Which checks a report has judged, and where: a check may have found something in files and not on its subject."""

    def __init__(self, results: Iterable[Result]) -> None:
        self._outcomes: dict[str, set[Outcome]] = defaultdict(set)
        self._in_places: set[str] = set()
        for result in results:
            self._outcomes[result.check].add(result.outcome)
            if result.fingerprint:
                self._in_places.add(result.check)

    def wholly(self, check: str) -> bool:
        """Whether the check has results, and all are judged."""
        outcomes = self._outcomes.get(check, set())
        return bool(outcomes) and all(outcome.judged for outcome in outcomes)

    def has(self, entry: Entry, outcome: Outcome | None) -> bool:
        """Whether what the entry is about is judged in the report, where it has this outcome or none."""
        if outcome is not None:
            return outcome.judged
        if entry.fingerprint:  # what is not found leaves no result of its own
            return self.wholly(entry.check)
        return entry.check in self._in_places


def _is_mended(entry: Entry, new: _Judged) -> bool:
    """Whether a failure is gone because the check passes now, and not because nothing was looked at."""
    if entry.after is not None:
        return entry.after is Outcome.PASSED
    return bool(entry.fingerprint) and new.wholly(entry.check)


def _entries(old: Sequence[Result], new: Sequence[Result], gates: Gates | None) -> list[Entry]:
    fail_on = gates.fail_on if gates else ()
    before, after = _by_key(old), _by_key(new)
    entries = []
    for key in sorted(before.keys() | after.keys()):
        check, kind, name, fingerprint = key
        was, is_ = before.get(key), after.get(key)
        # Of several results under one key the worst stands for all: one finding that is left is not fixed.
        shown = is_ or was
        assert shown
        entries.append(
            Entry(
                check=check,
                subject=name,
                kind=kind,
                fingerprint=fingerprint or None,
                gates_release=shown.severity.gates_release or shown.severity in fail_on,
                before=was.outcome if was else None,
                after=is_.outcome if is_ else None,
                reason=shown.reason,
                waived=is_.waived if is_ else None,
            )
        )
    return entries


_WORST_FIRST = (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED, Outcome.NOT_APPLICABLE, Outcome.PASSED)


def _by_key(results: Iterable[Result]) -> Mapping[Key, Result]:
    found: dict[Key, list[Result]] = defaultdict(list)
    for result in results:
        found[(result.check, result.subject.kind.value, result.subject.name, result.fingerprint or "")].append(result)
    return {
        key: min(each, key=lambda result: (_WORST_FIRST.index(result.outcome), result.reason or ""))
        for key, each in found.items()
    }


def _side(report: Report) -> Side:
    made = report.provenance
    return Side(
        commit=made.commit,
        dirty=made.dirty,
        verdict=report.verdict,
        score=report.score,
        coverage=report.coverage,
        partial=report.partial,
        profile=report.profile,
    )


def _is_worse(old: Report, new: Report, new_failures: Sequence[Entry], lost: Sequence[Entry]) -> bool:
    """Whether a release got worse: a new failure, something no longer judged that gates it, or a lower verdict.

    What the later report leaves out because it is for another profile says nothing of the release, and verdicts about
    different hardware are not ranked.
    """
    counting = [each for each in lost if old.profile is new.profile or not _is_outside(each)]
    if any(each.gates_release for each in (*new_failures, *counting)):
        return True
    if old.verdict is not None and new.verdict is None:
        return True  # nothing can be released on a partial run
    if old.profile is not new.profile:
        return False
    if old.verdict is not None and new.verdict is not None:
        return _RANK[new.verdict] < _RANK[old.verdict]
    return False


def _is_outside(entry: Entry) -> bool:
    return entry.after is Outcome.NOT_APPLICABLE and left_out_by(entry.reason) is not None


def _says(
    old: Side,
    new: Side,
    *,
    new_failures: Sequence[Entry],
    fixed: Sequence[Entry],
    lost: Sequence[Entry],
    gained: Sequence[Entry],
    worse: bool,
    failing: bool,
) -> str:
    same = old.profile is new.profile
    # Beside what got worse, more that is judged is no comfort.
    better = _gating(fixed) > 0 if worse else bool(fixed or gained)
    better = better or (
        same and old.verdict is not None and new.verdict is not None and _RANK[new.verdict] > _RANK[old.verdict]
    )
    first = _changed(better=better, worse=worse, failing=failing)
    if not same:
        first = (
            f"The reports are for different profiles, {old.profile or 'none'} and {new.profile or 'none'}, so their "
            f"verdicts are about different hardware. {first}"
        )
    before, now = _verdict(old), _verdict(new)
    verdicts = f"the verdict is {now}, as before" if before == now else f"the verdict was {before} and is {now}"
    counts = [
        f"{len(new_failures)} new {_plural('failure', new_failures)} ({_gating(new_failures)} of them gate a release)",
        f"{len(fixed)} fixed",
        f"{len(lost)} no longer judged{f' ({_gating(lost)} of them gate a release)' if lost else ''}",
        f"{len(gained)} newly judged",
    ]
    shares = (
        f"the score was {percent(old.score)} and is {percent(new.score)}, "
        f"the coverage was {percent(old.coverage)} and is {percent(new.coverage)}"
    )
    partial = (
        " One of the reports is partial: what it was not asked for is not compared."
        if (old.partial or new.partial)
        else ""
    )
    minor = ""
    if not worse and (new_failures or lost):
        minor = " What is new or no longer judged gates no release."
    return f"{first}: {verdicts}. {', '.join(counts)}; {shares}.{minor}{partial}"


def _changed(*, better: bool, worse: bool, failing: bool) -> str:
    """Return in which direction a release went; it is `failing` where not only less of it is judged."""
    if failing:
        return "The release got better in some respects and worse in others" if better else "The release got worse"
    if worse:
        if better:
            return "The release got better where it is judged, but less of what gates it is judged"
        return "Less of what gates the release is judged"
    return "The release got better" if better else "The release is neither better nor worse"


def _gating(entries: Sequence[Entry]) -> int:
    return sum(entry.gates_release for entry in entries)


def _plural(word: str, entries: Sequence[Entry]) -> str:
    return word if len(entries) == 1 else f"{word}s"


def _verdict(side: Side) -> str:
    return side.verdict.value if side.verdict else "none (partial run)"
