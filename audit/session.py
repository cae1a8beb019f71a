"""The course of every command: collect facts, plan, select, carry out, report."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from audit import provenance
from audit.carrying import Carrying, PartOfPlan
from audit.collected import Collected
from audit.execute import Execution, Notify
from audit.judgement import error
from audit.kept import KeptResults, digest_of_neighbours
from audit.own_code import digest_of_packages, packages_of
from audit.plan import Plan, select
from audit.profiles import Profile
from audit.repeating import command_of
from audit.report.document import Baseline, Environment, Provenance, Report, SkippedTreeRow, build_report
from audit.results import Result
from audit.scratch import sweep
from audit.static.cells import with_cells
from audit.static.fingerprints import with_fingerprints
from audit.static.paths import limited_to
from audit.static.rules.naming import checks_named
from audit.stopping import stop_if_wanted
from audit.target import Target
from audit.waivers import IN_NO_PART, IN_NO_RUN, Day, waive

STOPPED = "stopped by the user before the end"
FAILED_FAST = "stopped at the first failure, as --fail-fast asks"


Planner = Callable[[Collected], Plan]


Compare = Callable[[Collected, list[Result]], tuple[list[Result], tuple[Baseline, ...]]]


def _nothing_known(collected: Collected, results: list[Result]) -> tuple[list[Result], tuple[Baseline, ...]]:
    return results, ()


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command asks for. `compare` sets apart what was there before; a run that was cut short has no say.

    `profile` is the hardware that a release is judged for; the planners leave out what that has not.
    With `explain` failures are looked into, and come with the defects that they are due to.
    With `keeps_results` and `cache`, what earlier runs have measured is taken over where nothing has changed since;
    where checks and subjects are both named, as the command of a result names them, they are measured again.
    """

    command: str
    planners: Sequence[Planner]
    release: bool = False
    profile: Profile | None = None
    only: Sequence[str] = ()
    subjects: Sequence[str] = ()
    needs_inventory: bool = False
    cache: bool = False
    keeps_results: bool = False
    fail_fast: bool = False
    one_thread: bool = False
    limits: Sequence[str] = ()
    compare: Compare = _nothing_known
    explain: bool = True
    part: PartOfPlan | None = None
    notify: Notify = field(default=lambda subject, results: None)
    planned: Callable[[int], None] = field(default=lambda total: None)

    @property
    def takes_over(self) -> bool:
        """Whether results of earlier runs count."""
        return self.cache and self.keeps_results and not (self.only and self.subjects)


def conduct(target: Target, request: Request) -> Report:
    """Carry out `request` on `target`; Ctrl-C ends it early with a partial report.

    Raises:
        UsageError: a filter selects nothing.
    """
    started_at = provenance.now()
    sweep()
    state = provenance.git_state(target.root)
    only = checks_named(request.only)
    collected = Collected(
        target, cache=request.cache, only=only, forecasts=request.needs_inventory and not only and not request.subjects
    )
    plan: Plan = ()
    execution: Carrying | None = None
    limits = [*([limited_to(target.root, target.paths)] if target.paths else []), *request.limits]
    partial_reason = ", ".join(limits) or None
    environment: Environment | None = None
    try:
        complete = tuple(group for planner in request.planners for group in planner(collected))
        stop_if_wanted()
        plan = select(complete, only=only, subjects=request.subjects, undeclared=collected.undeclared)
        if plan != complete:
            partial_reason = ", ".join([*limits, _selection(request)])
        if request.part:
            plan = request.part.choose(collected, plan, state)
            partial_reason = ", ".join([*limits, request.part.limit])
        if not request.explain:
            plan = tuple(replace(group, conclude=None) for group in plan)
        request.planned(sum(len(group.planned) for group in plan))
        environment = collected.environment
        execution = _execution(target, request, collected, plan, complete)
        execution.run()
        stop_if_wanted()
        if execution.has_failed_fast:
            partial_reason = FAILED_FAST
    except KeyboardInterrupt:
        partial_reason = STOPPED
    finally:
        collected.close()
    results = list(execution.results) if execution else []
    cut_short = partial_reason if partial_reason in (STOPPED, FAILED_FAST) else None
    results += _never_reported(target, plan, execution, cut_short, request.part)
    results = with_cells(with_fingerprints(results, target.root), target.root)
    baselines: tuple[Baseline, ...] = ()
    if cut_short is None:
        try:
            results, baselines = request.compare(collected, results)
        except KeyboardInterrupt:
            partial_reason = STOPPED
    if request.part and request.needs_inventory and "analysis" in vars(collected) and cut_short is None:
        _ = collected.imports  # whichever part has the check that asks for them, they are the same in all
    day = Day.of(provenance.today(), provenance.commit_day(target.root)) if target.settings.waivers else None
    absent = IN_NO_PART if request.part else IN_NO_RUN if partial_reason is None else None
    # What a command of one area does not run is another's: a waiver of that is no mistake.
    is_all = request.release or request.part is not None
    results, waivers = waive(results, target.settings.waivers, day, absent=absent, every_area=is_all)
    rows: tuple[SkippedTreeRow, ...] = ()
    if request.needs_inventory and "analysis" in vars(collected):
        rows = tuple(
            SkippedTreeRow(path=collected.rooted(tree.relative), files=tree.python_files, reason=tree.reason)
            for tree in collected.shown.skipped_trees
        )
    return build_report(
        command=request.command,
        provenance=_provenance(target, collected, environment, started_at, state),
        checks=tuple({p.check.id: p.check for group in plan for p in group.planned}.values()),
        results=results,
        release=request.release,
        profile=request.profile,
        partial_reason=partial_reason,
        interrupted=partial_reason == STOPPED,
        inventory=collected.inventory if request.needs_inventory and "analysis" in vars(collected) else (),
        skipped_trees=rows,
        imports=(collected.imports or ()) if request.needs_inventory and "imports" in vars(collected) else (),
        baselines=baselines,
        defects=execution.defects if execution else (),
        gates=target.settings.gates if request.release else None,
        waivers=waivers,
        waivers_by=day,
        part=request.part.described if request.part else None,
        machines=request.part.machines if request.part else (),
    )


def _execution(target: Target, request: Request, collected: Collected, plan: Plan, complete: Plan) -> Carrying:
    if request.part:
        content = f"{collected.analysis.digest} {digest_of_neighbours(target)}"
        return request.part.carrying(target, plan, probe=collected.probe, content=content, notify=request.notify)
    return Execution(
        target,
        plan,
        probe=collected.probe,
        notify=request.notify,
        kept=_kept(target, collected, request, complete) if request.takes_over else None,
        fail_fast=request.fail_fast,
        one_thread=request.one_thread,
    )


def _kept(target: Target, collected: Collected, request: Request, plan: Plan) -> KeptResults | None:
    """Return the results of earlier runs on the same files; None where that cannot be told.

    They hold as long as the code of all who plan and judge is the same.
    """
    judges = (planned.judge for group in plan for planned in group.planned)
    code = digest_of_packages(packages_of((*request.planners, *judges)))
    beside = digest_of_neighbours(target)
    if beside is None or code is None:
        return None
    kept = KeptResults(target, f"{collected.analysis.digest} {beside} {code}")
    kept.tidy()
    return kept


def _selection(request: Request) -> str:
    filters = [f"--only {name}" for name in request.only] + [f"--subject {name}" for name in request.subjects]
    return f"limited to {' '.join(filters)}"


def _never_reported(
    target: Target, plan: Plan, execution: Carrying | None, why: str | None, part: PartOfPlan | None
) -> Iterator[Result]:
    """Yield an error for every planned check without a result: the plan says what should exist, not the run."""
    reported = execution.reported if execution else set()
    seed = target.settings.seed
    for planned in (planned for group in plan for planned in group.planned if planned.key not in reported):
        known = part.absent(planned.key) if part and why is None else None
        reason = why or known or "the run ended without a result for it"
        yield error(f"never reported: {reason}").result(
            planned.check,
            planned.subject,
            seed=seed,
            duration_s=None,
            reproduce=command_of(target, planned),
        )


def _provenance(
    target: Target,
    collected: Collected,
    environment: Environment | None,
    started_at: str,
    state: tuple[str | None, bool | None],
) -> Provenance:
    platform, machine = provenance.machine()
    commit, dirty = state
    return Provenance(
        command=shlex.join(["astrobio-audit", *sys.argv[1:]]),
        package=target.package,
        package_digest=collected.shown.digest if "analysis" in vars(collected) else None,
        config_digest=target.config_digest,
        prefix=provenance.prefix_in_repository(target.root),
        commit=commit,
        dirty=dirty,
        seed=target.settings.seed,
        python=provenance.interpreter(),
        torch=provenance.loaded_torch(),
        platform=platform,
        machine=machine,
        environment=environment,
        started_at=started_at,
        finished_at=provenance.now(),
    )
