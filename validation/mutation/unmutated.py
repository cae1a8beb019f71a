"""What this audit says of the target without a mutant, group by group: which checks pass, and which lines they run.

Each is found when it is first asked for: most mutants are found by the first group that runs their line, and a group
of kernels that are interpreted takes minutes.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import cast

from audit.attention.plan import plan_attention
from audit.collected import Collected
from audit.execute import Execution
from audit.mutation.mutants import Mutant
from audit.plan import Group, Plan
from audit.results import Frozen, Outcome, Result, Subject, SubjectKind
from audit.stopping import stop_if_wanted
from audit.target import Target
from validation.mutation.copies import Copies, Copy
from validation.mutation.kept import Kept, KeptVerdicts
from validation.mutation.reach import modules_reaching
from validation.mutation.tracking import bodies, read_tracks, runs_kernels_in_python, tracked, untracked
from validation.smoke.plan import plan_smoke

_OF_CODE = (SubjectKind.ATTENTION, SubjectKind.KERNEL, SubjectKind.MODEL)


class Passing(Frozen):
    """The checks of one group that pass, each by its id and its subject, with the seconds that it took."""

    seconds: dict[str, float]


class Ran(Frozen):
    """Which lines of the files that are mutated one group of checks runs, by file."""

    lines: dict[str, frozenset[int]]


class Unmutated:
    """The areas `attention` and `smoke` of a target as it is. What is found of a group is kept at once."""

    def __init__(self, target: Target, copies: Copies, kept: KeptVerdicts, *, mutated: Sequence[str]) -> None:
        """Find nothing yet.

        Args:
            target: what is audited.
            copies: of it, in which lines are tracked.
            kept: what earlier runs have found.
            mutated: the files of which it is asked which of their lines run, relative to the target.
        """
        self._target = target
        self._copies = copies
        self._kept = kept
        self._texts = {path: (target.root / path).read_bytes().decode("utf-8-sig") for path in mutated}
        self._kernels = runs_kernels_in_python()
        self._untracked = {path: untracked(text, kernels=self._kernels) for path, text in self._texts.items()}
        self._bodies = {path: bodies(text) for path, text in self._texts.items()}
        self._lock = threading.Lock()
        self._of_each: dict[str, threading.Lock] = {}
        self._known: dict[str, Frozen] = {}

    def reached_by(self, mutant: Mutant) -> Iterator[Group]:
        """Yield the groups that run the mutated statement and have checks that pass: those alone, the nearest first.

        Where that is not tracked, those whose subject's module reaches the mutated one, and those that run anything of
        its file: what is imported by a name that is put together is seen by that alone.
        """
        for group, imports_it in self._nearest(mutant):
            passing = self.passing(group)
            if passing.planned and self._is_run_by(group, mutant, imports_it=imports_it):
                yield passing

    def is_run(self, mutant: Mutant) -> bool:
        """Whether any group runs the mutated statement, though nothing of it passes."""
        return any(self._is_run_by(group, mutant, imports_it=imports_it) for group, imports_it in self._nearest(mutant))

    def passing(self, group: Group) -> Group:
        """Return those checks of a group that pass, for the others say nothing of a mutant: the quickest first.

        None stands before one that it requires.
        """
        known = self._passed(group)
        planned = [each for each in group.planned if _named(each.check.id, each.subject) in known]
        until: dict[str, float] = {}
        for each in planned:
            own = known[_named(each.check.id, each.subject)]
            until[each.check.id] = max(own, *(until.get(check, 0.0) for check in each.requires), 0.0)
        return replace(group, planned=tuple(sorted(planned, key=lambda each: until[each.check.id])))

    @property
    def passes_anything(self) -> bool:
        """Whether any check passes."""
        return any(self.passing(group).planned for group in self._plan)

    @cached_property
    def _collected(self) -> Collected:
        return Collected(self._target, cache=True)

    @property
    def _plan(self) -> Plan:
        with self._lock:
            return self._whole_plan

    @cached_property
    def _whole_plan(self) -> Plan:
        """The checks of single models and mechanisms, and not those of the package as a whole."""
        try:
            groups = (*plan_attention(self._collected), *plan_smoke(self._collected))
        finally:
            self._collected.close()
        return tuple(replace(group, conclude=None) for group in groups if group.subject.kind in _OF_CODE)

    def _nearest(self, mutant: Mutant) -> list[tuple[Group, bool]]:
        """Return all groups, the nearest by imports first, each with whether its module reaches the mutated one."""
        plan = self._plan
        near = modules_reaching(self._collected.analysis, mutant.path, self._collected.rooted)

        def distance(group: Group) -> tuple[int, str]:
            return near.get(group.subject.module or "", len(near)), group.subject.name

        return [(group, group.subject.module in near) for group in sorted(plan, key=distance)]

    def _is_run_by(self, group: Group, mutant: Mutant, *, imports_it: bool) -> bool:
        reaching = self._reaching(mutant)
        if reaching is None and imports_it:
            return True
        ran = self._ran(group).lines.get(mutant.path, frozenset())
        return bool(ran) if reaching is None else not ran.isdisjoint(reaching)

    def _reaching(self, mutant: Mutant) -> frozenset[int] | None:
        """Return the lines of which one must run for a mutant to be reached; None where they are not tracked.

        What stands in the head of a function, its decorators among it, is reached where its body runs.
        """
        if not self._untracked[mutant.path].isdisjoint(mutant.lines):
            return None
        body_of = self._bodies[mutant.path]
        return frozenset(body_of.get(line, line) for line in mutant.lines)

    def _passed(self, group: Group) -> Mapping[str, float]:
        return self._found("passing", Passing, group, lambda: self._passing(group)).seconds

    def _passing(self, group: Group) -> tuple[Passing, bool]:
        results = carried_out(self._target, group)
        passed = (result for result in results if result.outcome is Outcome.PASSED)
        seconds = {_named(each.check, each.subject): each.evidence.duration_s or 0.0 for each in passed}
        return Passing(seconds=seconds), _is_lasting(results)

    def _ran(self, group: Group) -> Ran:
        return self._found("\0".join(("tracks", *self._texts)), Ran, group, lambda: self._tracked(group))

    def _tracked(self, group: Group) -> tuple[Ran, bool]:
        with self._copies.lent() as copy:
            place = copy.root.with_name("tracks")
            try:
                place.touch()
                for path, text in self._texts.items():
                    copy.write(path, tracked(text, path, place, kernels=self._kernels))
                results = carried_out(in_copy(self._target, copy), group)
                found: dict[str, set[int]] = defaultdict(set)
                for path, line in read_tracks(place):
                    found[path].add(line)
            finally:
                place.unlink(missing_ok=True)
        failed = {_named(result.check, result.subject) for result in results if result.outcome is Outcome.FAILED}
        if failed and failed & self._passed(group).keys():  # it does not bear to be tracked: it may run any line
            found |= {path: set(range(text.count("\n") + 2)) for path, text in self._texts.items()}
        return Ran(lines={path: frozenset(lines) for path, lines in found.items()}), _is_lasting(results)

    def _found(self, what: str, kind: type[Kept], group: Group, find: Callable[[], tuple[Kept, bool]]) -> Kept:
        """Return what is known of a group, else find it, and keep it where it holds for later runs too.

        Who asks for the same meanwhile waits for it.
        """
        # A subject may have several groups, of different checks.
        key = "\0".join((what, group.subject.name, group.planned[0].check.id, self._kept.whole))
        with self._lock:
            lock = self._of_each.setdefault(key, threading.Lock())
        with lock:
            if key not in self._known:
                found = self._kept.get(key, kind)
                if found is None:
                    found, is_lasting = find()
                    if is_lasting:
                        self._kept.put(key, found)
                self._known[key] = found
            return cast(Kept, self._known[key])


def _is_lasting(results: Sequence[Result]) -> bool:
    """Whether another run would find the same: what a time limit or a full disk has stopped may be carried out then."""
    return not any(result.outcome is Outcome.ERROR for result in results)


def _named(check: str, subject: Subject) -> str:
    return f"{check} {subject.name}"


def carried_out(target: Target, group: Group, *, fail_fast: bool = False) -> list[Result]:
    """Return the results of one group.

    Raises:
        KeyboardInterrupt: the user asked to stop.
    """
    target = target.model_copy(update={"settings": target.settings.model_copy(update={"workers": 1})})
    run = Execution(target, (group,), fail_fast=fail_fast, one_thread=True)
    run.run()
    stop_if_wanted()
    return run.results


def in_copy(target: Target, copy: Copy) -> Target:
    """Return a target that is a copy of another."""
    source = copy.root / target.source.relative_to(target.root)
    return target.model_copy(update={"root": copy.root, "source": source})
