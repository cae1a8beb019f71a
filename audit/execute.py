"""Carries out a plan: groups side by side, each in a probe of its own, every planned check ending in a result."""

import itertools
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from audit.errors import UsageError
from audit.gateway import Limits, Probe, ProbeFailure, TargetRaised, templates
from audit.judgement import Judgement, error, not_applicable, skipped
from audit.kept import KeptResults, Known
from audit.plan import Group, Plan, PlanKey, PlannedCheck, Run
from audit.raised import describe_failure, describe_raised
from audit.repeating import command_of
from audit.requirements import reason_unmet
from audit.results import Defect, Outcome, Result, Subject
from audit.static.environment import site_folders
from audit.stopping import stop_if_wanted
from audit.target import Target, available_cores

Notify = Callable[[str, Sequence[Result]], None]
_POLL_S = 0.2


def open_probe(target: Target, *, side_by_side: int = 1) -> Probe:
    """Return a probe into `target`; torch's threads are shared out among those running side by side."""
    settings = target.settings
    return Probe(
        python=target.python,
        source=target.source,
        root=target.root,
        package=target.package,
        limits=Limits(timeout_s=settings.timeout_s, memory_mb=settings.memory_mb, output_mb=settings.output_mb),
        threads=max(1, available_cores() // side_by_side),
        forks=settings.forks,
        device=target.device,
    )


def prepare_forks(target: Target, ahead: Sequence[str]) -> None:
    """Begin to start what forks processes that have imported these modules; returns at once."""

    def start() -> None:
        # From 3.12 on Python starts no thread while it ends, and a folder that is gone is told by who carries out.
        with suppress(RuntimeError, FileNotFoundError):
            if not _hides_modules(target):
                templates.ready(target.python, lambda: True, ahead)

    if target.settings.forks:
        threading.Thread(target=start, name="audit-prepare", daemon=True).start()


def _hides_modules(target: Target) -> bool:
    """Return whether a file of the target has the name of a module of the interpreter, as `secrets.py`.

    Its processes would import that file in the module's place. What a fork has imported before it begins it would not
    import again, and what stands in the way of the target's scripts would go unnoticed.
    """
    known = set(sys.stdlib_module_names)
    own = {target.source, target.root}  # among the interpreter's folders where it is installed to be edited
    for folder in set(site_folders(target.python)) - own:
        with suppress(OSError):
            names = {entry.name.partition(".")[0] for entry in os.scandir(folder)}
            known.update(names if "torch" in names or not _is_project(folder) else ())
    known.discard(target.package.partition(".")[0])
    entries = [entry for folder in own for entry in os.scandir(folder)]
    found = {each.name.removesuffix(".py") for each in entries if each.name.endswith(".py") or each.is_dir()}
    return not known.isdisjoint(found)


def _is_project(folder: Path) -> bool:
    """Whether a folder of the interpreter's is a checkout of something: torch imports nothing of its `tests`."""
    return (folder / "pyproject.toml").exists() or (folder / "setup.py").exists()


class Execution:
    """One run of a plan. `results` grows while it runs, so that an interrupted run keeps what it has measured."""

    def __init__(
        self,
        target: Target,
        plan: Plan,
        *,
        probe: Probe | None = None,
        notify: Notify | None = None,
        kept: KeptResults | None = None,
        fail_fast: bool = False,
        one_thread: bool = False,
        beside: int = 0,
    ) -> None:
        """Prepare to run `plan`.

        Args:
            target: what is audited.
            plan: groups of planned checks.
            probe: one that is already running; it serves the first group.
            notify: called with a subject's name when it begins (no results) and with the results of each check.
            kept: results of earlier runs, which are taken over, and to which those of this one are added; it is
                closed when the run is over.
            fail_fast: whether nothing more is begun after the first failure.
            one_thread: whether torch has one thread in each process, however few run side by side.
            beside: how many other runs share this machine's processors.
        """
        self._target = target
        self._plan = plan
        self._notify = notify or (lambda subject, results: None)
        self._kept = kept
        self._fail_fast = fail_fast
        self._workers = max(1, min(target.workers, len(plan)))
        sharing = available_cores() if one_thread else self._workers * (1 + beside)
        self._probes = [probe] if probe else []
        self._probes += [open_probe(target, side_by_side=sharing) for _ in range(self._workers - len(self._probes))]
        self._idle: dict[str, SimpleQueue[Probe]] = {target.device: _queued(self._probes)}
        for device in sorted({group.device for group in plan if group.device} - {target.device}):
            there = target.model_copy(update={"device": device})
            probes = [open_probe(there, side_by_side=sharing) for _ in range(self._workers)]
            self._idle[device] = _queued(probes)
            self._probes += probes
        self._devices: dict[str, Target | str] = {}
        self._asking = threading.Lock()
        # What is measured alone has all threads, as in a run of its own.
        self._undisturbed = open_probe(target) if any(group.alone for group in plan) else None
        self._probes += [self._undisturbed] if self._undisturbed else []
        self._imports_itself = any(group.ahead for group in plan) and _hides_modules(target)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.results: list[Result] = []
        self.defects: list[Defect] = []
        self.reported: set[PlanKey] = set()
        self.has_failed_fast = False

    def run(self) -> None:
        """Carry out every planned check.

        Raises:
            KeyboardInterrupt: the user stopped the run; `results` holds what was finished.
        """
        pool = ThreadPoolExecutor(max_workers=self._workers, thread_name_prefix="audit")
        rounds = [[group for group in self._plan if not group.alone]]
        rounds += [[group] for group in self._plan if group.alone]
        try:
            for groups in rounds:
                if self.has_failed_fast:
                    break
                pending: set[Future[None]] = {pool.submit(self._run_group, group) for group in groups}
                while pending and not self.has_failed_fast:
                    stop_if_wanted()
                    done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
            if self._kept and not self.has_failed_fast:
                self._kept.finished(self._plan)
        finally:
            if self._kept:
                self._kept.close()
            self._stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for probe in self._probes:
                probe.kill()
            pool.shutdown(wait=True)
            for probe in self._probes:
                probe.end()

    def _run_group(self, group: Group) -> None:
        target = self._where(group)
        if isinstance(target, str):
            for planned in group.planned:
                self._report(group, planned, self._run_one(planned, planned.subject, {}, unable=target))
            return
        group = _seen_on(target, group)
        known = self._known(group)
        if known is not None:
            for planned, earlier in zip(group.planned, known.results, strict=True):
                self._report(group, planned, earlier)
            with self._lock:
                self.defects.extend(known.defects)
            if self._fail_fast and any(map(_has_failed, known.results)):
                self._stop_fast()
            return
        begun = time.time()
        undisturbed = self._undisturbed if group.alone else None
        idle = self._idle[target.device]
        probe = undisturbed or idle.get()
        try:
            probe.close()  # what one subject does to its process is not done to the next
            probe.ahead = () if self._imports_itself else group.ahead
            probe.read.forget()
            name = group.subject.name
            run = Run(
                target=target,
                probe=probe,
                seed=target.settings.seed,
                tell=lambda text: self._notify(f"{name} {text}", []),
            )
            self._notify(group.subject.name, [])
            outcomes: dict[str, Outcome] = {}
            needed = {planned.check.id: planned.requires for planned in group.planned}
            subject = group.subject
            measured: list[Sequence[Result]] = []
            for planned in group.planned:
                if self._stopping.is_set():
                    return
                own = subject if planned.subject == group.subject else planned.subject
                results = self._run_one(planned, own, outcomes, needed=needed, run=run)
                if self._stopping.is_set():
                    return
                outcomes[planned.check.id] = _worst(results)
                subject = _known_now(subject, results)
                measured.append(results)
                self._report(group, planned, results)
                if self._fail_fast and _has_failed(results):
                    self._conclude(group, measured, run)
                    self._stop_fast()
                    return
            measured, defects = self._conclude(group, measured, run)
            if self._kept and self._kept.takes(group) and (probe.read.is_complete or not self._kept.lasts(group)):
                self._kept.keep(group, measured, defects, read=probe.read.paths, begun=begun)
        finally:
            if probe is not undisturbed:
                idle.put(probe)

    def _where(self, group: Group) -> Target | str:
        """Return the target on the device that a group is for, or why there is none; asked once for each device."""
        if group.device is None or all(planned.outside for planned in group.planned):
            return self._target
        with self._asking:
            if group.device not in self._devices:
                self._devices[group.device] = _on_device(self._target, group.device)
            return self._devices[group.device]

    def _known(self, group: Group) -> Known | None:
        for each in (group.whole, group):
            if not (self._kept and each and self._kept.takes(each)):
                continue
            if known := self._kept.of(each) or self._kept.of_no_profile(each, self._told):
                return known
        return None

    def _told(self, planned: PlannedCheck) -> Sequence[Result]:
        return self._run_one(planned, planned.subject, {})

    def _report(self, group: Group, planned: PlannedCheck, results: Sequence[Result]) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            self.results.extend(results)
            self.reported.add(planned.key)
        self._notify(group.subject.name, results)

    def _stop_fast(self) -> None:
        self.has_failed_fast = True
        self._stopping.set()

    def _conclude(
        self, group: Group, measured: list[Sequence[Result]], run: Run
    ) -> tuple[list[Sequence[Result]], Sequence[Defect]]:
        """Replace the results of a group by those that name their defects; what was measured stays whatever fails."""
        results = [result for each in measured for result in each]
        if not group.conclude or not _has_failed(results):
            return measured, ()
        try:
            explained, defects = group.conclude(run, results)
        except (ProbeFailure, TargetRaised):
            return measured, ()  # the process that would have explained them is gone; the failures stand as they are
        except Exception:  # as in `_judged`: what looks closer can be as wrong as a check
            explained, defects = [_unexplained(result) for result in results], ()
        before = {id(result) for result in results}
        with self._lock:
            self.results = [result for result in self.results if id(result) not in before] + list(explained)
            self.defects.extend(defects)
        left = iter(explained)
        return [list(itertools.islice(left, len(each))) for each in measured], defects

    def _run_one(
        self,
        planned: PlannedCheck,
        subject: Subject,
        outcomes: Mapping[str, Outcome],
        *,
        needed: Mapping[str, Sequence[str]] | None = None,
        run: Run | None = None,
        unable: str = "",
    ) -> list[Result]:
        """Carry out a check; without a run it is skipped, for it is `unable` to be.

        `needed` are the checks that each check of the group requires.
        """
        begun = time.perf_counter()
        unmet = reason_unmet(planned.requires, outcomes, needed or {})
        if why := planned.inapplicable(outcomes):
            judgements = [not_applicable(why)]
        elif run is None:
            judgements = [skipped(unable)]
        elif unmet:
            judgements = [skipped(unmet)]
        else:
            judgements = _judged(planned, run)
        duration_s = round(time.perf_counter() - begun, 4)
        seed = self._target.settings.seed
        reproduce = command_of(self._target, planned, subject)

        def bound(judgement: Judgement) -> Result:
            return judgement.result(
                planned.check,
                subject,
                seed=seed,
                duration_s=duration_s,
                reproduce=reproduce,
                stand_in=planned.stand_in,
            )

        results = []
        for judgement in judgements:
            try:
                results.append(bound(judgement))
            except Exception:  # as in `_judged`: what a check says can be as wrong as what it does
                results.append(bound(_internal_error(planned)))
        return results


def _queued(probes: Sequence[Probe]) -> SimpleQueue[Probe]:
    queue: SimpleQueue[Probe] = SimpleQueue()
    for probe in probes:
        queue.put(probe)
    return queue


def _seen_on(target: Target, group: Group) -> Group:
    """Return a group, and the whole of which it is a part, with what was seen of the device that they run on."""
    return replace(group, device_seen=target.device_seen, whole=group.whole and _seen_on(target, group.whole))


def _on_device(target: Target, name: str) -> Target | str:
    """Return the target on a device, or why that cannot be."""
    from audit.devices import NoSuchDevice, on_device  # which asks by a probe, and so imports this module

    try:
        return on_device(target, name)
    except NoSuchDevice as absent:
        return f"needs a GPU: {absent.seen}"
    except UsageError as problem:
        return f"needs a GPU, and whether there is one is not known: {problem}"


def _judged(planned: PlannedCheck, run: Run) -> list[Judgement]:
    try:
        judgements = planned.judge(run)
        listed = [judgements] if isinstance(judgements, Judgement) else list(judgements)
    except ProbeFailure as failure:
        return [error(describe_failure(failure, run.target))]
    except TargetRaised as raised:
        # A check that can judge an exception catches it; the others cannot be carried out.
        return [error(describe_raised(raised, run.target))]
    except (Exception, SystemExit):
        # A defect of the check itself: kept as a result, with its traceback, so that the run goes on. SystemExit would
        # end the run with the exit code that the check chose.
        return [_internal_error(planned)]
    return listed or [error("never reported: the check returned nothing")]


def _internal_error(planned: PlannedCheck) -> Judgement:
    """Return the error for the exception that is being handled."""
    return error(f"internal error in {planned.check.id}; please report it:\n{traceback.format_exc(limit=-6)}")


def _unexplained(result: Result) -> Result:
    """Return the result, which says where it failed that the exception that is being handled kept it unexplained."""
    if result.outcome is not Outcome.FAILED:
        return result
    problem = f"what it comes from is not known: internal error; please report it:\n{traceback.format_exc(limit=-6)}"
    return result.model_copy(update={"reason": f"{result.reason}\n{problem}"})


def _has_failed(results: Sequence[Result]) -> bool:
    return any(result.outcome is Outcome.FAILED for result in results)


def _worst(results: Sequence[Result]) -> Outcome:
    for outcome in (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED, Outcome.NOT_APPLICABLE):
        if any(result.outcome is outcome for result in results):
            return outcome
    return Outcome.PASSED


def _known_now(subject: Subject, results: Sequence[Result]) -> Subject:
    """Carry what a check found out about its subject (the parameter count) over to the checks that follow."""
    if len(results) == 1 and results[0].subject.name == subject.name:
        return results[0].subject
    return subject
