"""What a machine sends about a group of checks, read as if it had been made to deceive."""

from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from audit.parts.document import Instance, PlanDocument, first_problem
from audit.plan import PlanKey
from audit.report.document import Environment, defects_contradict
from audit.results import Defect, Frozen, Result, Subject, SubjectKind

MAX_REPLY_BYTES = 64 * 1024 * 1024  # a group of 2,000 checks with curves and pictures takes 10 MB


class GroupReply(Frozen):
    """What was measured of one group."""

    group: str
    results: tuple[Result, ...]
    defects: tuple[Defect, ...]


class MachineReply(Frozen):
    """What a machine says of itself."""

    python: str
    torch: str | None
    platform: str
    machine: str
    environment: Environment | None


class BadReply(Exception):
    """What came is not what was asked for; says what is wrong with it."""


def read_group(content: object, plan: PlanDocument, group: str) -> GroupReply:
    """Validate the reply about a group of a plan: nothing else is judged in it, and each check at least once.

    Raises:
        BadReply: it is not about this group, or not about all of it, or contradicts itself.
    """
    if not isinstance(content, str) or len(content) > MAX_REPLY_BYTES:
        raise BadReply(f"no text of at most {MAX_REPLY_BYTES} bytes")
    try:
        reply = GroupReply.model_validate_json(content)
    except ValidationError as error:
        raise BadReply(first_problem(error)) from error
    if reply.group != group:
        raise BadReply("results of a group that was not asked for")
    instances = plan.groups[group]
    if problem := foreign(reply.results, instances, plan) or defects_contradict(reply.defects, reply.results):
        raise BadReply(problem)
    if missing := unreported(reply.results, instances):
        raise BadReply(f"no result for {missing[0].check} on {missing[0].subject.name}")
    if named := next((each.evidence.machine for each in reply.results if each.evidence.machine), None):
        raise BadReply(f"evidence that names a machine of its own, {named!r}")
    return reply


def _is_read_later(planned: Subject) -> bool:
    """Whether a plan has no digest of a subject because it is read when it is judged, as a file of weights is."""
    return planned.kind is SubjectKind.FILE and planned.digest is None


def foreign(results: Iterable[Result], instances: Sequence[Instance], plan: PlanDocument) -> str | None:
    """Return which result is of no check among `instances`, or of another severity than planned; None without one."""
    planned = {instance.check for instance in instances}
    own = {instance.key: instance.subject for instance in instances}
    others = {each.key for each in plan.instances} - own.keys()
    for result in results:
        key, named = key_of(result), f"a result of {result.check} on {result.subject.name}"
        if result.check not in planned or key in others:
            return f"{named}, which was not asked for"
        if result.severity is not plan.by_check[result.check].severity:
            return f"{named} with another severity than planned"
        if key in own and own[key].digest != result.subject.digest and not _is_read_later(own[key]):
            return f"{named}, whose source is not the planned one"
        if result.set_apart is not None:
            return f"{named} that is set apart, which no part of a plan does"
    return None


def unreported(results: Iterable[Result], instances: Sequence[Instance]) -> list[Instance]:
    """Return the instances without a result.

    A check may put the file where it found something in the place of its planned subject: its results on what is the
    subject of no instance are of any instance of the check.
    """
    known = {instance.key for instance in instances}
    seen: set[PlanKey] = set()
    at_large: set[str] = set()
    for result in results:
        key = key_of(result)
        if key in known:
            seen.add(key)
        else:
            at_large.add(result.check)
    return [each for each in instances if each.key not in seen and each.check not in at_large]


def key_of(result: Result) -> PlanKey:
    """Return the key of the instance that a result is of, where its subject is the planned one."""
    return (result.check, result.subject.kind.value, result.subject.name)
