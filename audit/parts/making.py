"""Makes the document of a plan from the plan of a target, and compares a target with the document of one."""

from collections import Counter
from collections.abc import Mapping, Sequence

from audit import __version__, provenance
from audit.collected import Collected
from audit.errors import UsageError
from audit.parts.document import (
    PLAN_VERSION,
    Instance,
    PlanDocument,
    PlannedFrom,
    differences,
    digest_of,
    needs_of,
)
from audit.plan import Group, Plan
from audit.profiles import Profile
from audit.report.document import TOOL_NAME, Tool, encodable
from audit.report.text import counted
from audit.session import Planner
from audit.target import Target

State = tuple[str | None, bool | None]  # commit, and whether files differ from it


def plan_of(
    target: Target, planners: Sequence[Planner], *, command: str, release: bool, profile: Profile | None = None
) -> PlanDocument:
    """Plan a command on a target, and carry nothing out.

    Raises:
        UsageError: there is nothing to plan.
    """
    state = provenance.git_state(target.root)
    collected = Collected(target)
    try:
        plan = tuple(group for planner in planners for group in planner(collected))
        return document_of(collected, plan, state, command=command, release=release, profile=profile)
    finally:
        collected.close()


def document_of(
    collected: Collected,
    plan: Plan,
    state: State,
    *,
    command: str,
    release: bool,
    profile: Profile | None = None,
) -> PlanDocument:
    """Return the document of a plan.

    Raises:
        UsageError: the plan is empty.
    """
    if not plan:
        raise UsageError("the plan is empty: there is nothing to check")
    target = collected.target
    commit, dirty = state
    flags = dict(zip(target.flags, target.flags[1:], strict=False))
    instances = tuple(
        Instance(check=planned.check.id, subject=planned.subject, needs=needs_of(planned.gpus), group=name)
        for name, group in named_groups(plan).items()
        for planned in group.planned
    )
    checks = {planned.check.id: planned.check for group in plan for planned in group.planned}
    fields: dict[str, object] = {
        "schema_version": PLAN_VERSION,
        "tool": Tool(name=TOOL_NAME, version=__version__),
        "planned_from": PlannedFrom(
            command=command,
            release=release,
            package=target.package,
            package_digest=collected.shown.digest,
            config_digest=target.config_digest,
            prefix=provenance.prefix_in_repository(target.root),
            commit=commit,
            dirty=dirty,
            seed=target.settings.seed,
            device=target.device,
            tool_digest=provenance.tool_digest(),
            given_package=flags.get("--package"),
            profile=profile,
        ),
        "checks": tuple(checks[name] for name in sorted(checks)),
        "instances": instances,
    }
    content = encodable(PlanDocument.model_construct(**fields).model_dump(exclude={"digest"}))  # type: ignore[arg-type]
    assert isinstance(content, dict)
    return PlanDocument.model_validate({**content, "digest": digest_of(content)})


def named_groups(plan: Plan) -> Mapping[str, Group]:
    """Return the groups by an id that is the same wherever the plan is: kind and name of the subject, and a count."""
    seen: Counter[str] = Counter()
    named: dict[str, Group] = {}
    for group in plan:
        if not group.planned:
            continue
        name = f"{group.subject.kind.value}:{group.subject.name}"
        seen[name] += 1
        named[name if seen[name] == 1 else f"{name}#{seen[name]}"] = group
    return named


def refuse_another(written: PlanDocument, now: PlanDocument) -> None:
    """Raise where a target has another plan than the written one.

    Raises:
        UsageError: says what differs, the most telling first.
    """
    if written.digest == now.digest:
        return
    first, *more = [*differences(written, now), "the order of the checks, or what is known of a subject, differs"]
    hint = (
        ", with plan and parts where git ignores them"
        if written.planned_from.dirty is False and now.planned_from.dirty
        else ""
    )
    added = f" ({counted(len(more) - 1, 'more difference')})" if len(more) > 1 else ""
    raise UsageError(f"the plan is not that of this target: {first}{added}; make the plan again{hint}")
