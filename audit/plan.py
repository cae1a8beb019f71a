"""The list of checks that should be carried out, made before any of them runs."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from audit.errors import UsageError
from audit.gateway import Probe
from audit.judgement import Judgement, error
from audit.near import nearest
from audit.results import Check, Defect, Outcome, Result, Subject
from audit.target import Target


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a check may use: the target, a probe into it, and the seed. `tell` shows how far a long one is."""

    target: Target
    probe: Probe
    seed: int
    tell: Callable[[str], None] = lambda text: None


Judge = Callable[[Run], Judgement | Sequence[Judgement]]
_RULE = re.compile(r"([a-z]{3})\d{3}")
PlanKey = tuple[str, str, str]
# Given the results of a group: the same ones, each failure with the defect that it comes from, and those defects.
Concluded = tuple[Sequence[Result], Sequence[Defect]]
Conclude = Callable[[Run, Sequence[Result]], Concluded]


@dataclass(frozen=True, kw_only=True)
class PlannedCheck:
    """One check on one subject. `requires` names checks on the same subject that must have passed first.

    `gpus` counts the GPUs without which it cannot be carried out. `flags` are the options that repeat it as it is
    planned, of `command` where that is not the one of the check's own area. `outside` says why a check is no part of
    what is judged, where it is planned for the report alone. `only_with` names a check on the subject without which
    this one does not apply either. `stand_in` names the library of which a stand-in computes what is judged.
    """

    check: Check
    subject: Subject
    judge: Judge
    requires: tuple[str, ...] = ()
    gpus: int = 0
    flags: tuple[str, ...] = ()
    command: str = ""
    outside: str = ""
    only_with: str = ""
    stand_in: str | None = None

    @classmethod
    def waiting(cls, check: Check, subject: Subject, *, requires: str) -> "PlannedCheck":
        """Return a check that is skipped unless `requires` passes on the subject, and cannot be carried out then."""
        return cls(
            check=check,
            subject=subject,
            judge=lambda run: error(f"{requires} passed, and there is nothing to carry {check.id} out on"),
            requires=(requires,),
        )

    def inapplicable(self, outcomes: Mapping[str, Outcome]) -> str:
        """Return why the check does not apply, by the outcomes of those before it on the subject; else nothing."""
        if not self.outside and self.only_with and outcomes.get(self.only_with) is Outcome.NOT_APPLICABLE:
            return f"as {self.only_with}, which says why"
        return self.outside

    @property
    def key(self) -> PlanKey:
        """What no other planned check has: check, kind and name of the subject."""
        return (self.check.id, self.subject.kind.value, self.subject.name)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Checks carried out in order by one process; most groups are the checks of one subject.

    `conclude` is called with all their results where some have failed. `ahead` names modules of the interpreter that
    the process will import anyhow: in a fork they are there. No check that is about imports may be among them. A group
    that is `alone` measures what others that run beside it would change, and is carried out when these are done.
    One with a `device` runs there, wherever the others run, and is skipped where there is none; `device_seen` is what
    that was seen to be, once it is known.

    What earlier runs have found is taken over only where a group `is_kept`: what depends on other groups, or on files
    that nobody sees it read, is judged anew. Of one that `is_resumed`, what a run has found that was stopped counts for
    the run that takes it up again, and for no other. `depends_on` is a digest of what else decides, beside the target's
    code and what its process says it has read. `whole` is the same group where this one leaves something out: what is
    known of that, counts.
    """

    subject: Subject
    planned: tuple[PlannedCheck, ...]
    conclude: Conclude | None = None
    ahead: tuple[str, ...] = ()
    alone: bool = False
    is_kept: bool = False
    is_resumed: bool = False
    depends_on: str = ""
    whole: "Group | None" = None
    device: str | None = None
    device_seen: str = ""


Plan = tuple[Group, ...]


def resumed(groups: Iterable[Group]) -> Plan:
    """Return the groups, of which a run that was stopped need not be carried out again where it has got to."""
    return tuple(replace(group, is_resumed=True) for group in groups)


def select(
    plan: Plan, *, only: Iterable[str] = (), subjects: Iterable[str] = (), undeclared: str | None = None
) -> Plan:
    """Return the part of `plan` that the filters name; what a selected check requires stays in.

    Args:
        plan: the whole plan.
        only: check ids, areas, or ids without their area, which mean the checks of every area that are called so.
        subjects: names of subjects.
        undeclared: why the subjects that the specs declare are not known.

    Raises:
        UsageError: a filter selects nothing.
    """
    only, subjects = tuple(only), tuple(subjects)
    everything = [planned for group in plan for planned in group.planned]
    names = {planned.subject.name for planned in everything}
    checks = {planned.check.id for planned in everything}
    for wanted in subjects:
        if wanted not in names:
            # In one line, as all that is said of the usage.
            why = f"; what the specs declare is not known: {' '.join(undeclared.split())}" if undeclared else ""
            raise UsageError(f"--subject {wanted}: no such subject; there are: {listed(names)}{why}")
    only = tuple(check for wanted in only for check in _checks_called(wanted, checks))
    groups = (_reduced(group, only, subjects) for group in plan)
    selected = tuple(group for group in groups if group.planned)
    if not selected:
        raise UsageError(
            "the plan is empty: there is nothing to check"
            if not plan
            else "--only and --subject together select no check"
        )
    return selected


def _reduced(group: Group, only: Sequence[str], subjects: Sequence[str]) -> Group:
    of_subject = [p for p in group.planned if not subjects or p.subject.name in subjects]
    wanted = {p.check.id for p in of_subject if not only or any(_matches(p.check.id, pattern) for pattern in only)}
    for planned in reversed(of_subject):
        if planned.check.id in wanted:
            wanted.update(planned.requires)
    return replace(group, planned=tuple(p for p in of_subject if p.check.id in wanted))


def _checks_called(wanted: str, checks: Collection[str]) -> tuple[str, ...]:
    """Return the area or checks that `wanted` means.

    Raises:
        UsageError: it means none; the message names the nearest, or what there is where nothing is near.
    """
    if any(_matches(check, wanted) for check in checks):
        return (wanted,)
    if found := sorted(check for check in checks if check.partition(".")[2] == wanted):
        return tuple(found)
    if "," in wanted:
        raise UsageError(f"--only {wanted}: names one check or area; give --only again for each further one")
    whole = {check.partition(".")[2]: check for check in sorted(checks)} | {check: check for check in checks}
    names = whole | {check.partition(".")[0]: check.partition(".")[0] for check in checks}
    area, _, name = wanted.lower().partition(".")
    asked = name if name and area in names else wanted.lower()  # all names of an area are alike in its own name
    families = {rule[1]: rule[1].upper() for each in whole if (rule := _RULE.fullmatch(each))}
    if not any(sign.isdigit() for sign in asked):  # no single rule is meant
        names |= families
    near = dict.fromkeys(names[each] for each in nearest(asked, names))
    near = {each: None for each in near if families.get(each.removeprefix("rules.")[:3]) not in near}
    meant = f"did you mean {' or '.join(near)}?" if near else f"there are: {listed(checks)}"
    raise UsageError(f"--only {wanted}: no such check or area; {meant}")


def _matches(check: str, wanted: str) -> bool:
    return check == wanted or check.startswith(wanted + ".")


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return names as a list for a reader, cut where it is long."""
    ordered = sorted(names)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return (", ".join(ordered[:limit]) or "none") + more
