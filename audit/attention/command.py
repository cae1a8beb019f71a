"""The course of `astrobio-audit attention`, from its options to its exit code."""

from collections.abc import Sequence

from audit.attention.named import Named, read_names
from audit.attention.plan import plan_attention, plan_named
from audit.command import conduct_shown, deliver, prepare_output, run_area
from audit.errors import UsageError
from audit.options import Options
from audit.session import Request
from audit.static.paths import find_root, paths_inside
from audit.target import Target


def run_attention(options: Options, *, names: Sequence[str], target_is_given: bool) -> None:
    """Judge the target's attention mechanisms, or those in files that `names` give as `FILE::NAME`.

    Raises:
        UsageError: the options, the names or the configuration need correcting.
        typer.Exit: always at the end, with the report's exit code.
    """
    if not names:
        run_area(options, command="attention", planners=[plan_attention])
        return
    if options.package:
        raise UsageError("--package and FILE::NAME are two ways to say what is judged; give one of them")
    named = read_names(names)
    paths = [name.path for name in named]
    root = options.target if target_is_given else find_root(paths)
    tree = Target.load_tree(
        root, python=options.python, seed=options.seed, workers=options.workers, probe=options.probe
    )
    inside = paths_inside(tree.root, paths)
    absolute = {name.path: place for name in named for place in paths_inside(tree.root, [name.path])}
    located = [Named(absolute[name.path], name.qualname) for name in named]
    request = Request(
        command="attention",
        planners=[plan_named(located)],
        only=options.only,
        subjects=options.subjects,
        cache=options.cache,
    )
    prepare_output(options)
    # Every result says how to repeat it, and that is by these names.
    words = [f"{place.path.relative_to(tree.root).as_posix()}::{place.qualname}" for place in located]
    limited = tree.limited_to(inside).model_copy(update={"flags": (*words, "--target", ".", *tree.flags)})
    report = conduct_shown(limited, request, quiet=options.quiet)
    deliver(report, form=options.format, quiet=options.quiet, output=options.output)
