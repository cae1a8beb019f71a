"""Which mutants are tried, each as a check of its own, so that one can be repeated by its name."""

import functools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from audit.collected import Collected
from audit.errors import UsageError
from audit.judgement import Judgement, not_applicable
from audit.mutation.mutants import Mutant
from audit.mutation.operator import Operator
from audit.mutation.registry import all_operators, operators_by_name
from audit.near import hint
from audit.plan import Group, Plan, PlannedCheck, Run
from audit.report.excused import EXCUSED
from audit.results import Check, Subject, SubjectKind
from validation.mutation.candidates import Candidate, candidates, mutants_in

Pair = tuple[Candidate, Mutant]


def split_only(only: Sequence[str]) -> tuple[tuple[Operator, ...], tuple[str, ...]]:
    """Return the operators that `--only` names, all where it names none, and what it names beside them.

    Raises:
        UsageError: a name is neither that of an operator nor of a check.
    """
    known = operators_by_name()
    checks = tuple(name for name in only if name not in known)
    for name in checks:
        if not name.startswith(("tests", "selftest")):
            near = hint(name, known, otherwise=f"there are: {', '.join(known)}")
            raise UsageError(f"--only {name}: no such operator; {near}")
    named = tuple(known[name] for name in dict.fromkeys(only) if name in known)
    return named or all_operators(), checks


def mutants_to_try(collected: Collected, operators: Sequence[Operator], *, training: bool) -> list[Pair]:
    """Return all mutants of the target.

    Raises:
        UsageError: there are none.
    """
    files = candidates(collected, training=training)
    found = list(mutants_in(files, tuple(operators)))
    if not found:
        where = f"in the {len(files)} files that hold attention, models or training" if files else "no file to mutate"
        raise UsageError(f"nothing to mutate: {'no operator applies ' + where if files else where}")
    return found


def sampled(pairs: Sequence[Pair], most: int | None, seed: int) -> list[Pair]:
    """Return at most so many mutants, chosen by the seed, in their order."""
    if most is None or most >= len(pairs):
        return list(pairs)
    chosen = set(random.Random(seed).sample(range(len(pairs)), most))
    return [pair for index, pair in enumerate(pairs) if index in chosen]


def plan_of(check: Check, pairs: Iterable[Pair], judge: Callable[[Mutant, Run], Judgement]) -> Plan:
    """Return one check for each mutant, each a group of its own; one that its line excuses is listed, and not tried."""

    def judged(mutant: Mutant, run: Run) -> Judgement:
        if mutant.excuse is not None:
            return not_applicable(f"{EXCUSED}{mutant.excuse}")
        return judge(mutant, run)

    return tuple(
        Group(
            subject=subject,
            planned=(PlannedCheck(check=check, subject=subject, judge=functools.partial(judged, mutant)),),
        )
        for subject, mutant in named(pairs)
    )


def named(pairs: Iterable[Pair]) -> Iterator[tuple[Subject, Mutant]]:
    """Yield the mutants with names: the module, the operator and the line, and a number where that is not enough."""
    seen: Counter[str] = Counter()
    for file, mutant in pairs:
        name = f"{mutant.operator}@{mutant.line}"
        seen[f"{file.module}:{name}"] += 1
        count = seen[f"{file.module}:{name}"]
        yield (
            Subject(
                kind=SubjectKind.MODULE,
                module=file.module,
                qualname=name if count == 1 else f"{name}.{count}",
                path=mutant.path,
                line=mutant.line,
                digest=f"sha256:{mutant.digest}",
            ),
            mutant,
        )
