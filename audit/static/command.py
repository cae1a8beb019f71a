"""The course of `astrobio-audit static`, from its options to its exit code."""

from pathlib import Path

from audit.command import conduct_shown, deliver, prepare_output
from audit.errors import UsageError
from audit.options import StaticOptions
from audit.report.document import Baseline
from audit.results import Result
from audit.session import Collected, Compare, Request
from audit.static.baseline import Scope, compare, read_baseline, scope_of, write_baseline
from audit.static.checks import plan_static
from audit.static.paths import find_root, holders, paths_inside
from audit.static.rules.checks import plan_rules
from audit.target import Target, names_package


def run_static(options: StaticOptions) -> None:
    """Analyse a package or a tree and leave with the exit code of the report.

    Raises:
        UsageError: the options, the paths or the configuration need correcting.
        typer.Exit: always at the end, with the report's exit code.
    """
    target = load_target(options)
    comparison = comparison_of(options, target)
    request = Request(
        command="static",
        planners=[plan_static, plan_rules],
        only=options.only,
        subjects=options.subjects,
        needs_inventory=True,
        cache=options.cache,
        compare=comparison,
    )
    prepare_output(options)
    report = conduct_shown(target, request, quiet=options.quiet)
    deliver(report, form=options.format, quiet=options.quiet, output=options.output)


def load_target(options: StaticOptions) -> Target:
    """Return the tree that the paths name, else the package of the target, else the target's folder as a tree.

    Raises:
        UsageError: what is named does not exist, or the configuration is malformed.
    """
    if options.paths and options.package:
        raise UsageError("--package and PATHS are two ways to say what is analysed; give one of them")
    if options.paths:
        root = options.target if options.target_is_given else find_root(options.paths)
        target = Target.load_tree(root, python=options.python, seed=options.seed, workers=options.workers)
        return target.limited_to(paths_inside(target.root, options.paths))
    if options.package or names_package(options.target):
        return Target.load(
            options.target,
            package=options.package,
            python=options.python,
            seed=options.seed,
            workers=options.workers,
        )
    return Target.load_tree(options.target, python=options.python, seed=options.seed, workers=options.workers)


def comparison_of(options: StaticOptions, target: Target) -> Compare:
    """Return what sets apart the findings that were there before.

    Raises:
        UsageError: a baseline is missing or malformed, or the options contradict each other.
    """
    if options.baseline and options.write_baseline:
        raise UsageError("--baseline and --write-baseline are given; to shorten a baseline the second is enough")
    if options.write_baseline:
        return _writing(options.write_baseline, target)
    configured = target.settings.baseline
    path = options.baseline or (target.root / configured if configured else None)
    return _reading(path, target) if path else lambda collected, results: (results, ())


def _reading(path: Path, target: Target) -> Compare:
    known = read_baseline(path)

    def compare_with(collected: Collected, results: list[Result]) -> tuple[list[Result], tuple[Baseline, ...]]:
        marked, row = compare(results, known, source=_shown(path, target), scope=_scope(collected, results))
        return marked, (row,)

    return compare_with


def _writing(path: Path, target: Target) -> Compare:
    if path.exists():
        read_baseline(path)  # what is no baseline is said so before any work is done

    def write_and_compare(collected: Collected, results: list[Result]) -> tuple[list[Result], tuple[Baseline, ...]]:
        scope = _scope(collected, results)
        known = write_baseline(path, results, scope)
        marked, row = compare(results, known, source=_shown(path, target), scope=scope)
        return marked, (row,)

    return write_and_compare


def _scope(collected: Collected, results: list[Result]) -> Scope:
    target = collected.target
    within = frozenset(target.relative(path) or "" for path in target.paths)
    return scope_of(results, lambda path: not within or bool(holders(path, within)))


def _shown(path: Path, target: Target) -> str:
    return f"the baseline {target.relative(path) or path.name}"
