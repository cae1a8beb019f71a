"""The audit judged by the same mutants: what it passes without a mistake, it must not pass with one."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue

from audit.attention.plan import plan_attention
from audit.command import conduct_shown, deliver, prepare_output
from audit.errors import UsageError
from audit.execute import Execution
from audit.judgement import Judgement, Measured, error, judged, skipped
from audit.mutation.mutants import Mutant
from audit.mutation.registry import operators_by_name
from audit.plan import Group, Plan
from audit.results import Check, Comparison, Frozen, Location, Outcome, Result, Severity, SubjectKind
from audit.session import Collected, Request
from audit.stopping import stop_if_wanted
from audit.target import Target
from validation.mutation.command import SelftestOptions
from validation.mutation.copies import Copy
from validation.mutation.kept import Kept, KeptVerdicts, digests_of
from validation.mutation.plan import mutants_to_try, plan_of, sampled, split_only
from validation.mutation.reach import modules_reaching
from validation.mutation.run import limits_of, load_target, working_folder
from validation.mutation.tracking import bodies, read_tracks, tracked, untracked
from validation.smoke.plan import plan_smoke
from validation.target_files import files_of

CHECK = Check(
    id="selftest.mutation",
    title="The audit finds a mistake in the code",
    proves="With one mistake in attention or model code a check of the areas `attention` or `smoke` fails that passes "
    "without it.",
    defect="a check that passes whatever the code computes",
    severity=Severity.MAJOR,
)
_ORIGIN = "a check that passes on code and on the same code with a mistake does not tell the two apart"
_OF_CODE = (SubjectKind.ATTENTION, SubjectKind.KERNEL, SubjectKind.MODEL)
_Key = tuple[str, str]


class Seen(Frozen):
    """What the audit says of one mutant: the check that failed and its subject, or how much passed.

    `is_run` tells whether any check runs the mutated statement.
    """

    failed: str | None
    detail: str
    unjudged: int = 0
    is_run: bool = True


class Passing(Frozen):
    """The checks of one group that pass without a mutant, with their subjects."""

    passed: frozenset[_Key]


class Ran(Frozen):
    """Which lines of the files that are mutated one group of checks runs, by file."""

    lines: dict[str, frozenset[int]]


@dataclass(frozen=True)
class Tracks:
    """Which lines each group of checks runs, by its name and the file.

    `untracked` are the lines of each file that do not tell whether they run, `bodies` those of its functions.
    """

    lines: Mapping[str, Mapping[str, frozenset[int]]]
    untracked: Mapping[str, frozenset[int]]
    bodies: Mapping[str, Mapping[int, int]]

    def reaching(self, mutant: Mutant) -> frozenset[int] | None:
        """Return the lines of which one must run for a mutant to be reached; None where they are not tracked.

        What stands in the head of a function, its decorators among it, is reached where its body runs.
        """
        if not self.untracked[mutant.path].isdisjoint(mutant.lines):
            return None
        body_of = self.bodies[mutant.path]
        return frozenset(body_of.get(line, line) for line in mutant.lines)


@dataclass
class Audit:
    """The areas `attention` and `smoke` of the target, repeated in copies of it."""

    target: Target
    folder: Path
    workers: int
    kept: KeptVerdicts
    names: Sequence[str]
    mutated: Sequence[str]
    time_limit_s: float | None
    begun: float = field(default_factory=time.monotonic)
    _idle: SimpleQueue[Copy] = field(default_factory=SimpleQueue)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self) -> None:
        """Make the copies and the plan.

        Raises:
            UsageError: the target cannot be copied.
        """
        for number in range(self.workers):
            try:
                copy = Copy(self.target.root, list(self.names), self.folder / str(number) / self.target.root.name)
            except OSError as problem:
                raise UsageError(f"{self.target.root}: cannot be copied: {problem}") from problem
            self._idle.put(copy)

    def judge(self, mutant: Mutant) -> Judgement:
        """Return whether the audit finds a mutant.

        Raises:
            KeyboardInterrupt: the user asked to stop.
        """
        with self._lock:
            passed = self._passed
        if not passed:
            return error("without a mutant no check of the areas attention and smoke passes")
        key = f"{self.kept.whole}\0{mutant.digest}"
        seen = self.kept.get(key, Seen)
        if seen is None:
            if self.time_limit_s is not None and time.monotonic() - self.begun > self.time_limit_s:
                return skipped(f"not tried: the time limit of {self.time_limit_s:g} s was reached")
            seen = self._try(mutant, passed)
            self.kept.put(key, seen)
        return _concluded(mutant, seen)

    @cached_property
    def _collected(self) -> Collected:
        return Collected(self.target, cache=True)

    @cached_property
    def _plan(self) -> Plan:
        """The checks of single models and mechanisms, and not those of the package as a whole."""
        try:
            groups = (*plan_attention(self._collected), *plan_smoke(self._collected))
        finally:
            self._collected.close()
        return tuple(replace(group, conclude=None) for group in groups if group.subject.kind in _OF_CODE)

    @cached_property
    def _passed(self) -> frozenset[_Key]:
        """What passes without a mutant: the rest says nothing of one."""
        found = self._of_each_group("passing", Passing, self._passing)
        return frozenset().union(*(group.passed for group in found.values()))

    def _passing(self, group: Group) -> Passing:
        results = self._carried_out(self.target, (group,), fail_fast=False)
        return Passing(passed=frozenset(_key(result) for result in results if result.outcome is Outcome.PASSED))

    @cached_property
    def _tracks(self) -> Tracks:
        """What is run without a mutant, group by group: no other has to be tried with one."""
        texts = {path: (self.target.root / path).read_bytes().decode("utf-8-sig") for path in self.mutated}
        found = self._of_each_group("\0".join(("tracks", *texts)), Ran, lambda group: self._ran(group, texts))
        return Tracks(
            lines={name: group.lines for name, group in found.items()},
            untracked={path: frozenset(untracked(text)) for path, text in texts.items()},
            bodies={path: bodies(text) for path, text in texts.items()},
        )

    def _ran(self, group: Group, texts: Mapping[str, str]) -> Ran:
        copy = self._idle.get()
        place = copy.root.with_name("tracks")
        try:
            for path, text in texts.items():
                copy.write(path, tracked(text, path, place))
            self._carried_out(self._target_in(copy), (group,), fail_fast=False)
            found: dict[str, set[int]] = defaultdict(set)
            for path, line in read_tracks(place):
                found[path].add(line)
            return Ran(lines={path: frozenset(lines) for path, lines in found.items()})
        finally:
            place.unlink(missing_ok=True)
            copy.restore()
            self._idle.put(copy)

    def _of_each_group(self, what: str, kind: type[Kept], measure: Callable[[Group], Kept]) -> dict[str, Kept]:
        """Return what is measured of each group, by its name; each is kept at once, for all take long together."""

        def known_or_measured(group: Group) -> Kept:
            key = "\0".join((what, _named(group), self.kept.whole))
            known = self.kept.get(key, kind)
            if known is None:
                known = measure(group)
                self.kept.put(key, known)
            return known

        with ThreadPoolExecutor(self.workers, thread_name_prefix="without-mutant") as pool:
            return dict(zip(map(_named, self._plan), pool.map(known_or_measured, self._plan), strict=True))

    def _try(self, mutant: Mutant, passed: Set[_Key]) -> Seen:
        with self._lock:
            tracks = self._tracks
        plan = tuple(self._concerned(mutant, passed, tracks))
        results = self._with_text(mutant, mutant.text, plan)
        found = next((result for result in results if result.outcome is Outcome.FAILED), None)
        if found:
            return Seen(failed=found.check, detail=f"{found.check} on {found.subject.name}")
        unjudged = sum(result.outcome in (Outcome.ERROR, Outcome.SKIPPED) for result in results)
        detail = f"{len(results) - unjudged} checks pass with it"
        return Seen(failed=None, detail=detail, unjudged=unjudged, is_run=bool(plan))

    def _with_text(self, mutant: Mutant, text: str, plan: Plan) -> list[Result]:
        copy = self._idle.get()
        try:
            copy.write(mutant.path, text)
            return self._carried_out(self._target_in(copy), plan, fail_fast=True)
        finally:
            copy.restore()
            self._idle.put(copy)

    def _target_in(self, copy: Copy) -> Target:
        target = self.target
        source = copy.root / target.source.relative_to(target.root)
        return target.model_copy(update={"root": copy.root, "source": source})

    def _concerned(self, mutant: Mutant, passed: Set[_Key], tracks: Tracks) -> Iterable[Group]:
        """Yield the groups that run the mutated statement, the nearest by imports first.

        Where that is not tracked, those whose subject's module reaches the mutated one, and those that run anything of
        its file: what is imported by a name that is put together is seen by that alone. Of each group only those checks
        are left that pass without a mutant, for the others say nothing of one.
        """
        near = modules_reaching(self._collected.analysis, mutant.path, self._collected.rooted)
        reaching = tracks.reaching(mutant)
        groups = []
        for group in self._plan:
            left = tuple(each for each in group.planned if (each.check.id, each.subject.name) in passed)
            module = group.subject.module or ""
            ran = tracks.lines.get(_named(group), {}).get(mutant.path, frozenset())
            if left and (module in near or ran if reaching is None else not ran.isdisjoint(reaching)):
                groups.append((near.get(module, len(near)), group.subject.name, replace(group, planned=left)))
        for _, _, group in sorted(groups, key=lambda each: each[:2]):
            yield group

    def _carried_out(self, target: Target, plan: Plan, *, fail_fast: bool) -> list[Result]:
        settings = target.settings.model_copy(update={"workers": 1})
        run = Execution(target.model_copy(update={"settings": settings}), plan, fail_fast=fail_fast, one_thread=True)
        if plan:
            run.run()
        stop_if_wanted()
        return run.results


def _named(group: Group) -> str:
    """Return a name that no other group has: a subject may have several, of different checks."""
    return f"{group.subject.name} {group.planned[0].check.id}"


def _key(result: Result) -> _Key:
    return (result.check, result.subject.name)


def _concluded(mutant: Mutant, seen: Seen) -> Judgement:
    operator = operators_by_name()[mutant.operator]
    if seen.failed is None and not seen.is_run:
        return skipped(f"no check of the areas attention and smoke runs the statement on this machine\n{mutant.diff}")
    measured = Measured(
        value=int(seen.failed is not None),
        bound=1,
        comparison=Comparison.AT_LEAST,
        origin=_ORIGIN,
        unit="failing checks",
    )
    lines = [f"{operator.title}, and {seen.detail}", mutant.diff, operator.why]
    if seen.unjudged:
        lines.append(f"{seen.unjudged} checks that pass without it came to no conclusion")
    if operator.equivalent:
        lines.append(f"the mutant is no mistake {operator.equivalent}")
    return judged(measured, otherwise="\n".join(lines), location=Location(path=mutant.path, line=mutant.line))


def run_selftest(options: SelftestOptions) -> None:
    """Try the mutants of the target on this audit.

    Raises:
        UsageError: the options or the configuration need correcting, or there is nothing to mutate.
        typer.Exit: always at the end, with the report's exit code.
    """
    operators, checks = split_only(options.only or ())
    target = load_target(options)
    looked = Collected(target, cache=options.cache)
    try:
        pairs = mutants_to_try(looked, operators, training=False)
    finally:
        looked.close()
    chosen = sampled(pairs, options.max_mutants, target.settings.seed)
    prepare_output(options)
    with working_folder() as folder:
        try:
            names = files_of(target)
        except OSError as problem:
            raise UsageError(f"{target.root}: cannot be copied: {problem}") from problem
        kept = KeptVerdicts(target, "selftest", digests_of(target.root, names), enabled=options.cache)
        audit = Audit(
            target=target,
            folder=folder,
            workers=min(target.workers, len(chosen)),
            kept=kept,
            names=names,
            mutated=sorted({mutant.path for _, mutant in pairs}),
            time_limit_s=options.time_limit,
        )
        audit.prepare()
        request = Request(
            command="selftest",
            planners=[lambda collected: plan_of(CHECK, chosen, lambda mutant, run: audit.judge(mutant))],
            only=checks,
            subjects=options.subject or (),
            limits=limits_of(options, chosen, len(pairs)),
        )
        report = conduct_shown(target, request, quiet=options.quiet)
    deliver(report, form=options.form, quiet=options.quiet, output=options.output)
