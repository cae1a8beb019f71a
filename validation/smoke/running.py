"""The course of `astrobio-audit smoke`, from its options to its exit code."""

from collections.abc import Sequence

from audit.attention.named import Named, item_named, read_names
from audit.command import conduct_shown, deliver, deliver_from_elsewhere, prepare_output, run_area
from audit.errors import UsageError
from audit.plan import Plan
from audit.session import Collected, Planner, Request
from audit.static.paths import find_root, paths_inside
from audit.target import Target
from validation.smoke.command import SmokeOptions
from validation.smoke.guessed import guessed_groups
from validation.smoke.plan import load_ahead, plan_imports, plan_smoke, plugged_group


def run_smoke(options: SmokeOptions) -> None:
    """Judge the target's models, or those that are named as `FILE::NAME`.

    Raises:
        UsageError: the options, the names or the configuration need correcting.
        typer.Exit: always at the end, with the report's exit code.
    """
    if options.gateway:
        deliver_from_elsewhere(options, command="smoke")
    if not options.names:
        run_area(options, command="smoke", planners=[plan_with_or_without_specs])
        return
    if options.package:
        raise UsageError("--package and FILE::NAME are two ways to say what is judged; give one of them")
    named = read_names(options.names)
    root = options.target or find_root([name.path for name in named])
    tree = Target.load_tree(
        root, python=options.python, seed=options.seed, workers=options.workers, config=options.config
    )
    located = [Named(place, name.qualname) for name in named for place in paths_inside(tree.root, [name.path])]
    request = Request(
        command="smoke",
        planners=[_plan_named(located)],
        only=options.only or (),
        subjects=options.subject or (),
        cache=options.cache,
    )
    prepare_output(options)
    # Every result says how to repeat it, and that is by these names.
    words = [f"{place.path.relative_to(tree.root).as_posix()}::{place.qualname}" for place in located]
    limited = tree.limited_to(paths_inside(tree.root, [name.path for name in named])).model_copy(
        update={"flags": (*words, "--target", ".", *tree.flags)}
    )
    report = conduct_shown(limited, request, quiet=options.quiet)
    deliver(report, form=options.form, quiet=options.quiet, output=options.output)


def plan_with_or_without_specs(collected: Collected) -> Plan:
    """Plan what the specs declare; where none are configured, the imports and the models of the inventory."""
    models = [item for item in collected.analysis.models if item.resolved]
    if collected.target.settings.specs is not None or not models:
        return plan_smoke(collected)
    load_ahead(collected)
    return (plan_imports(collected), *guessed_groups(collected, models), *plugged_group(collected))


def _plan_named(names: Sequence[Named]) -> Planner:
    def plan(collected: Collected) -> Plan:
        items = [item_named(collected, name) for name in names]
        functions = [item.qualname for item in items if item.facts.get("form") == "function"]
        if functions:
            raise UsageError(f"{functions[0]}: is a function; smoke judges model classes")
        return tuple(guessed_groups(collected, items))

    return plan
