"""What was there before: findings of a baseline or of a revision, which are set apart in a report."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from audit.collected import Collected
from audit.errors import UsageError
from audit.report.document import Baseline, Report
from audit.results import Result
from audit.session import Compare
from audit.static.baseline import Scope, compare, counted, read_baseline, scope_of, set_apart, write_baseline
from audit.static.cli import StaticOptions
from audit.static.paths import holders
from audit.static.revision import Revision, as_of_today, find_revision, target_at
from audit.target import Target

Marked = tuple[list[Result], tuple[Baseline, ...]]


def comparison_of(options: StaticOptions, target: Target, *, run: Callable[[Target], Report]) -> Compare:
    """Return what sets apart the findings that were there before; `run` analyses a target at a revision.

    Raises:
        UsageError: a baseline is missing or malformed, the revision unknown, or the options contradict each other.
    """
    if options.baseline and options.write_baseline:
        raise UsageError("--baseline and --write-baseline are given; to shorten a baseline the second is enough")
    steps = []
    configured = target.settings.baseline
    if options.write_baseline:
        steps.append(_writing(options.write_baseline, target))
    elif options.baseline or configured:
        steps.append(_reading(options.baseline or target.root / str(configured), target))
    if options.diff_base is not None:
        steps.append(_since(find_revision(target.root, options.diff_base), target, run))

    def compare_with_each(collected: Collected, results: list[Result]) -> Marked:
        rows: tuple[Baseline, ...] = ()
        for step in steps:
            results, found = step(collected, results)
            rows += found
        return results, rows

    return compare_with_each


def _reading(path: Path, target: Target) -> Compare:
    known = read_baseline(path)

    def compare_with(collected: Collected, results: list[Result]) -> Marked:
        marked, row = compare(results, known, source=_shown(path, target), scope=_scope(collected, results))
        return marked, (row,)

    return compare_with


def _writing(path: Path, target: Target) -> Compare:
    if path.exists():
        read_baseline(path)  # what is no baseline is said so before any work is done

    def write_and_compare(collected: Collected, results: list[Result]) -> Marked:
        scope = _scope(collected, results)
        known = write_baseline(path, results, scope)
        marked, row = compare(results, known, source=_shown(path, target), scope=scope)
        return marked, (row,)

    return write_and_compare


def _since(revision: Revision, target: Target, run: Callable[[Target], Report]) -> Compare:
    source = f"revision {revision.name}"

    def compare_with_revision(collected: Collected, results: list[Result]) -> Marked:
        with tempfile.TemporaryDirectory(prefix="astrobio-audit-") as name:
            folder = Path(name).resolve()
            before = target_at(revision, target, folder)
            found = _results(before, run) if before else []
            known = counted(as_of_today(found, revision, folder))
        marked, number = set_apart(results, known, f"in {source}")
        return marked, (Baseline(source=source, set_apart=number),)

    return compare_with_revision


def _results(target: Target, run: Callable[[Target], Report]) -> list[Result]:
    try:
        report = run(target)
    except UsageError:  # what today's configuration excludes can be all that there was
        return []
    if report.interrupted:
        raise KeyboardInterrupt
    return list(report.results)


def _scope(collected: Collected, results: list[Result]) -> Scope:
    target = collected.target
    within = frozenset(path.relative_to(target.root).as_posix() for path in target.paths)
    return scope_of(results, lambda path: not within or bool(holders(path, within)))


def _shown(path: Path, target: Target) -> str:
    return f"the baseline {target.relative(path) or path.name}"
