"""The course of every command: collect facts, plan, select, carry out, report."""

import gc
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from audit import provenance
from audit.carrying import Carrying, PartOfPlan
from audit.catalog import Catalog, Undeclared, read_catalog
from audit.execute import Execution, Notify, open_probe
from audit.gateway import Probe, ProbeFailure, TargetRaised
from audit.judgement import error
from audit.kept import KeptResults, digest_of_neighbours
from audit.own_code import digest_of_packages, packages_of
from audit.plan import Plan, select
from audit.profiles import Profile
from audit.repeating import command_of
from audit.report.document import Baseline, Environment, Provenance, Report, SkippedTreeRow, build_report
from audit.results import Result
from audit.scratch import sweep
from audit.static.analysis import StaticAnalysis, analyse
from audit.static.cells import with_cells
from audit.static.environment import site_folders
from audit.static.fingerprints import with_fingerprints
from audit.static.imports.ahead import ForecastAhead
from audit.static.imports.causes import ImportRow
from audit.static.imports.forecast import forecast
from audit.static.imports.interpreter import FactsAhead
from audit.static.inventory import InventoryItem
from audit.static.paths import TreeFiles, limited_to, tree_files
from audit.static.rules.naming import checks_named
from audit.static.store import FactStore, cache_folder
from audit.stopping import stop_if_wanted
from audit.target import Target
from audit.waivers import IN_NO_PART, IN_NO_RUN, Day, waive

STOPPED = "stopped by the user before the end"
FAILED_FAST = "stopped at the first failure, as --fail-fast asks"


class Collected:
    """Facts about the target, each gathered when a planner first asks for it."""

    def __init__(
        self, target: Target, *, cache: bool = False, only: Sequence[str] = (), forecasts: bool = False
    ) -> None:
        """Gather nothing yet.

        With `cache`, what earlier runs learned of the same files counts; `only` are the checks and areas that the
        user names. With `forecasts` it is sure that the imports will be asked for.
        """
        self.target = target
        self._cache = cache
        self.only = tuple(only)
        self.probe: Probe | None = None
        self._store: FactStore | None = None
        self._forecasts = forecasts
        self._ahead = ForecastAhead()
        self._facts: FactsAhead | None = None

    @cached_property
    def tree(self) -> TreeFiles | None:
        """Which files of a tree are analysed and shown; None where the target is a package."""
        target, settings = self.target, self.target.settings
        if not target.is_tree:
            return None
        return tree_files(
            target.root,
            target.paths,
            exclude=settings.exclude,
            source=settings.source,
            notebooks=settings.notebooks,
        )

    @cached_property
    def analysis(self) -> StaticAnalysis:
        """What the sources say: the package's, or those of a tree and of the packages in it; imports nothing."""
        if self._forecasts:
            self._facts = FactsAhead(self.target.python)
        target, tree = self.target, self.tree
        self._store = FactStore(cache_folder()) if self._cache else None
        found = analyse(
            target.source,
            target.package_path,
            exclude=target.settings.exclude,
            notebooks=target.settings.notebooks,
            installed=(*(tree.search if tree else ()), *site_folders(target.python)),
            project=target.root,
            workers=target.workers,
            store=self._store,
            found=tree.discovery if tree else None,
            with_surroundings=not target.paths,
            when_read=self._forecast_ahead,
        )
        if self._ahead.is_running:  # it is one of the processes that the target may have side by side
            found = replace(found, workers=max(1, found.workers - 1))
        gc.freeze()  # it stays until the end; going through it costs more than all that is done with it
        return found

    @cached_property
    def shown(self) -> StaticAnalysis:
        """What the sources say that the run is limited to; all where it is not limited."""
        paths = self.tree.shown if self.tree else None
        return self.analysis if paths is None else self.analysis.of_files(paths)

    @cached_property
    def inventory(self) -> tuple[InventoryItem, ...]:
        """The inventory with paths relative to the target's root."""
        return self._with_paths(self.shown.surroundings)

    @cached_property
    def inventory_without_tests(self) -> tuple[InventoryItem, ...]:
        """The inventory without what the tests around the package hold, which are not read for it."""
        return self._with_paths(self.shown.surroundings_without_tests)

    def _with_paths(self, surroundings: Iterable[InventoryItem]) -> tuple[InventoryItem, ...]:
        rooted: Iterable[InventoryItem] = self.shown.inventory
        if self.target.source != self.target.root:
            rooted = [item.model_copy(update={"path": self.rooted(item.path)}) for item in rooted]
        every = (*rooted, *surroundings)
        return tuple(sorted(every, key=lambda item: (item.path, item.line, item.qualname, item.kind)))

    @cached_property
    def imports(self) -> tuple[ImportRow, ...] | None:
        """Which modules would fail to import; None where the interpreter does not tell what that depends on."""
        tree = self.tree
        self._ahead.wait()
        if tree is None:
            return forecast(self.analysis, self.target, asked=self._facts)
        search, undecided = self._search(tree), tree.ambiguous
        rows = forecast(self.analysis, self.target, search=search, undecided=undecided, asked=self._facts)
        return rows and tuple(row for row in rows if tree.shown is None or row.path in tree.shown)

    def _forecast_ahead(self, read: StaticAnalysis) -> None:
        tree = self.tree
        if not self._forecasts:
            return
        search, undecided = (self._search(tree), tree.ambiguous) if tree else ((), frozenset[str]())
        self._ahead = ForecastAhead.of(read, self.target, search=search, undecided=undecided)

    def _search(self, tree: TreeFiles) -> tuple[Path, ...]:
        return (*tree.search, *tree.script_folders)

    def rooted(self, path: str) -> str:
        """Return a path relative to the source folder, as the analysis gives it, relative to the target's root."""
        return (self.target.source.relative_to(self.target.root) / path).as_posix()

    @cached_property
    def catalog(self) -> Catalog | Undeclared:
        """What the specs declare, or why that is unknown."""
        try:
            return read_catalog(self.target, self._probe())
        except Undeclared as undeclared:
            return undeclared

    @property
    def undeclared(self) -> str | None:
        """Why nothing is known of what the specs declare; None where it is known, was not asked, or there are none."""
        found = vars(self).get("catalog")
        return found.judgement.reason if self.target.settings.specs and isinstance(found, Undeclared) else None

    @cached_property
    def environment(self) -> Environment | None:
        """What the target's interpreter has; None when it was not started or does not answer.

        For what is judged on a GPU it is started: which GPU that was belongs in the report.
        """
        if self.probe is None and not self.target.on_gpu:
            return None
        try:
            reply = dict(self._probe().call("environment"))
        except (ProbeFailure, TargetRaised):
            return None
        fields = {key: value for key, value in reply.items() if key in Environment.model_fields}
        try:
            return Environment.model_validate(fields)
        except ValidationError:
            return None

    def _probe(self) -> Probe:
        if self.probe is None:
            self.probe = open_probe(self.target, side_by_side=self.target.workers)
        return self.probe

    def close(self) -> None:
        """End the probe and the forecast, and close the store."""
        self._ahead.close()
        if self._store:
            self._store.close()
        if self.probe:
            self.probe.close()


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
    absent = IN_NO_PART if request.part else IN_NO_RUN if request.release and partial_reason is None else None
    results, waivers = waive(results, target.settings.waivers, day, absent=absent)
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
