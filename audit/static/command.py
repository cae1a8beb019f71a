"""The course of `astrobio-audit static`, from its options to its exit code."""

from audit.command import conduct_shown, deliver, prepare_output
from audit.errors import UsageError
from audit.options import StaticOptions
from audit.session import Request
from audit.static.checks import plan_static
from audit.static.paths import find_root, paths_inside
from audit.static.rules.checks import plan_rules
from audit.target import Target, names_package


def run_static(options: StaticOptions) -> None:
    """Analyse a package or a tree and leave with the exit code of the report.

    Raises:
        UsageError: the options, the paths or the configuration need correcting.
        typer.Exit: always at the end, with the report's exit code.
    """
    target = load_target(options)
    request = Request(
        command="static",
        planners=[plan_static, plan_rules],
        only=options.only,
        subjects=options.subjects,
        needs_inventory=True,
        cache=options.cache,
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
