"""Groups the failures of a subject by what they come from: one defect for each mistake, with all that shows it."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from audit.attention.answers import Settled
from audit.attention.contract import Contract
from audit.attention.defects.cause import Cause
from audit.attention.defects.causes import cause_of
from audit.attention.defects.classes import bug_class
from audit.attention.defects.direction import SHOWN_BY, direction_cause
from audit.attention.defects.follows import OF_THE_ORACLE, UNREPEATABLE, follow
from audit.attention.defects.pictures import picture_of
from audit.attention.defects.usual import ORDER
from audit.attention.properties import PROPERTIES
from audit.attention.shrinking import reproducer_of
from audit.attention.subject import AttentionSubject
from audit.attention.traced import Core, traces_of
from audit.gateway import ProbeFailure, TargetRaised
from audit.plan import Concluded, Run
from audit.results import Defect, Explained, Location, Outcome, Result, Subject, SubjectKind

_AREA = "attention."
_SHOWS = "shows it"
_LONGEST = 60  # of a file's name, without what makes it the only one


@dataclass
class _Grouped:
    """A cause, the check that was looked into, and how each further failure is known to come from it."""

    check: str
    cause: Cause
    further: dict[str, str] = field(default_factory=dict)


def concluded(subjects: Sequence[tuple[Subject, AttentionSubject]], run: Run, results: Sequence[Result]) -> Concluded:
    """Return the results, each failure with the defect that it comes from, and the defects.

    Args:
        subjects: what was judged, as reports call it.
        run: the target's process, which is called again to look closer.
        results: of all checks on them.
    """
    explained = {id(result): result for result in results}
    defects: list[Defect] = []
    checks = {prop.check.id for prop in PROPERTIES}
    for named, attention in subjects:
        failed = {
            result.check.removeprefix(_AREA): result
            for result in results
            if result.outcome is Outcome.FAILED and result.check in checks and _same(result.subject, named)
        }
        for group in _grouped(attention, run, failed):
            defect = _defect(named, attention, run, group, failed)
            defects.append(defect)
            for check, how in {group.check: _SHOWS, **group.further}.items():
                result = failed[check]
                place = _line(result, defect)
                explained[id(result)] = result.model_copy(
                    update={"defect": Explained(id=defect.id, how=how), "location": place}
                )
    return list(explained.values()), defects


def _same(one: Subject, other: Subject) -> bool:
    return (one.kind, one.name, one.path) == (other.kind, other.name, other.path)


def _grouped(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> list[_Grouped]:
    left = sorted(failed, key=lambda check: (ORDER.index(check) if check in ORDER else len(ORDER), check))
    groups: list[_Grouped] = []
    looked: dict[str, Cause] = {}
    if direction := _direction(subject, run, failed):
        shown = next(check for check in SHOWN_BY if check in failed)
        looked[shown] = direction
        left.sort(key=lambda each: each != shown)
    while left:
        check = left.pop(0)
        if groups and check in OF_THE_ORACLE and (how := _all_together(subject, run, check, groups)):
            groups[0].further[check] = how
            continue
        cause = looked.get(check) or _looked_into(check, subject, run, failed)
        group = _Grouped(check, cause)
        if cause.bug is None and check not in looked and check != UNREPEATABLE and left:
            # What it shows may follow from what another check says more of.
            looked[check] = cause
            left.append(check)
            # What departs from the oracle comes before the gradients of it.
            left.sort(key=lambda each: (each in OF_THE_ORACLE, each != "oracle"))
            continue
        for other in list(left):
            if how := _comes_from(subject, run, group, other):
                group.further[other] = how
                left.remove(other)
        groups.append(group)
    return _joined(groups)


def _joined(groups: Sequence[_Grouped]) -> list[_Grouped]:
    """Return the groups, those of one class as one: two checks that show the same mistake."""
    found: dict[str, _Grouped] = {}
    for group in groups:
        key = group.cause.bug or f"unknown {group.check}"
        if key in found:
            found[key].further |= {group.check: "shows a mistake of the same class", **group.further}
        else:
            found[key] = group
    return list(found.values())


def _looked_into(check: str, subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause:
    try:
        return cause_of(check, subject, run, failed)
    except (TargetRaised, ProbeFailure):  # a call that is made only to look closer may be one that it refuses
        return Cause(bug=None)


def _direction(subject: AttentionSubject, run: Run, failed: Mapping[str, Result]) -> Cause | None:
    try:
        return direction_cause(subject, run, failed)
    except (TargetRaised, ProbeFailure):
        return None


def _comes_from(subject: AttentionSubject, run: Run, group: _Grouped, check: str) -> str | None:
    """Return how the failure of a check is known to come from the cause of a group; None where it is not."""
    may_follow = check in follow(group.cause.bug, group.check)
    changed = group.cause.taken_for_right(subject)
    if changed is not None and subject.has_oracle and check in OF_THE_ORACLE | {"empty_rows"}:
        if _passes(changed, run, check):
            return "passes where this is taken for right: it has no other cause"
        if group.cause.is_exact and check in OF_THE_ORACLE:
            return None
    return "to be expected with it; not shown to have no other cause" if may_follow else None


def _all_together(subject: AttentionSubject, run: Run, check: str, groups: Sequence[_Grouped]) -> str | None:
    """Return how a failure is known to come from several causes at once, each of which an oracle computes in part."""
    simulated = [group.cause for group in groups if group.cause.taken_for_right(subject)]
    if len(simulated) < 2:
        return None
    contract: Contract = subject.contract
    together = subject
    for cause in simulated:
        own = cause.contract or subject.contract
        changes = {
            name: value for name in type(own).model_fields if (value := getattr(own, name)) != getattr(contract, name)
        }
        departure = cause.departure if cause.departure != subject.departure else together.departure
        together = replace(together, contract=together.contract.model_copy(update=changes), departure=departure)
    if _passes(together, run, check):
        return f"passes where all {len(simulated)} defects that are known are taken for right"
    return None


def _passes(subject: AttentionSubject, run: Run, check: str) -> bool:
    prop = next(prop for prop in PROPERTIES if prop.check.id == _AREA + check)
    try:
        return prop.judge(subject, run).outcome is Outcome.PASSED
    except (Settled, TargetRaised, ProbeFailure):
        return False


def _defect(
    named: Subject, subject: AttentionSubject, run: Run, group: _Grouped, failed: Mapping[str, Result]
) -> Defect:
    cause, known = group.cause, bug_class(group.cause.bug)
    key = cause.bug or group.check
    shown = failed[group.check]
    checks = (group.check, *group.further)
    identity = f"{named.path or ''}::{named.name}::{key}"
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    stem = re.sub(r"[^A-Za-z0-9]+", "_", named.name).strip("_")[:_LONGEST]
    kept = reproducer_of(
        subject,
        run,
        [_AREA + check for check in checks],
        file=f"{stem}-{key}-{digest}.py",
        is_class=named.kind is not SubjectKind.KERNEL,
    )
    return Defect(
        id=identity,
        bug=cause.bug,
        title=known.name,
        subject=shown.subject,
        checks=tuple(_AREA + check for check in checks),
        explanation="; ".join(filter(None, (cause.says, shown.reason))),
        why=known.why,
        fix=known.fix if cause.bug else shown.fix or known.fix,
        related=known.related,
        location=cause.location or _traced_line(subject, run) or shown.location,
        picture=picture_of(subject, run, key, (group.check, *group.further)),
        reproducer=None if isinstance(kept, str) else kept,
        unreproduced=kept if isinstance(kept, str) else None,
    )


def _traced_line(subject: AttentionSubject, run: Run) -> Location | None:
    """Return the line that carries out the attention; None where nothing could be followed."""
    try:
        cores = traces_of(subject, run, subject.finest_dtype).first.cores
    except (Settled, TargetRaised, ProbeFailure):
        return None
    return next(_places(cores, run), None)


def _places(cores: Sequence[Core], run: Run) -> Iterator[Location]:
    yield from filter(None, (core.location(run.target) for core in cores))


def _line(result: Result, defect: Defect) -> Location | None:
    """Return the place of a failure: its own where it names a line other than that of the whole subject."""
    own = result.location
    if own is not None and own.line != result.subject.line:
        return own
    return defect.location or own
