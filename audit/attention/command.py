"""The course of `astrobio-audit attention`, from its options to its exit code."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer

from audit.attention.cli import AttentionOptions, SpecOptions
from audit.attention.devices import on_device
from audit.attention.found import ask
from audit.attention.named import Named, item_named, read_names
from audit.attention.plan import plan_attention, plan_named
from audit.attention.spec_stub import spec_stub
from audit.command import conduct_shown, deliver, deliver_from_elsewhere, prepare_output, run_area
from audit.errors import Unfinished, UsageError
from audit.execute import open_probe
from audit.gateway import ProbeFailure, TargetRaised
from audit.session import Collected, Request
from audit.static.paths import find_root, paths_inside
from audit.target import Target

_AREA = "attention"


def run_attention(options: AttentionOptions) -> None:
    """Judge the target's attention mechanisms, or those that are named as `FILE::NAME`.

    Raises:
        UsageError: the options, the names or the configuration need correcting.
        typer.Exit: always at the end, with the report's exit code.
    """
    options = replace(options, only=list(map(_with_area, options.only or ())))
    if options.gateway:
        deliver_from_elsewhere(options, command=_AREA)
    if not options.names:
        run_area(
            options,
            command="attention",
            planners=[plan_attention],
            keeps_results=True,
            one_thread=True,
            fail_fast=options.fail_fast,
            prepared=lambda target: on_device(target, options.device),
        )
        return
    if options.package:
        raise UsageError("--package and FILE::NAME are two ways to say what is judged; give one of them")
    named = read_names(options.names)
    tree = _tree(
        named,
        options.target,
        python=options.python,
        seed=options.seed,
        workers=options.workers,
        config=options.config,
    )
    tree = on_device(tree, options.device)
    located = [Named(place, name.qualname) for name in named for place in paths_inside(tree.root, [name.path])]
    request = Request(
        command="attention",
        planners=[plan_named(located)],
        only=options.only or (),
        subjects=options.subject or (),
        cache=options.cache,
        keeps_results=True,
        # Small tensors gain nothing from threads, which wait for one another by spinning: on two busy cores the same
        # class took 15 s of CPU time with two threads, and 1.1 s with one.
        one_thread=True,
        fail_fast=options.fail_fast,
    )
    prepare_output(options)
    # Every result says how to repeat it, and that is by these names.
    words = [f"{place.path.relative_to(tree.root).as_posix()}::{place.qualname}" for place in located]
    limited = tree.limited_to(paths_inside(tree.root, [name.path for name in named])).model_copy(
        update={"flags": (*words, "--target", ".", *tree.flags)}
    )
    report = conduct_shown(limited, request, quiet=options.quiet)
    deliver(report, form=options.form, quiet=options.quiet, output=options.output)


def _with_area(name: str) -> str:
    """Return the id of a check of which the user has left out the area: `causality` is `attention.causality`."""
    return name if name == _AREA or name.startswith(f"{_AREA}.") else f"{_AREA}.{name}"


def print_spec(options: SpecOptions) -> None:
    """Print a specs module for the class or function that is named as `FILE::NAME`, and leave.

    Raises:
        UsageError: the name or the configuration needs correcting.
        Unfinished: the target's process ended before it could tell anything.
        typer.Exit: 0 where it can be built and called as printed, 1 where something is left to write.
    """
    (named,) = read_names([options.name])
    tree = _tree([named], options.target, python=options.python, seed=options.seed, workers=None, config=options.config)
    (place,) = paths_inside(tree.root, [named.path])
    collected = Collected(tree.limited_to((place,)))
    try:
        item_named(collected, Named(place, named.qualname))  # raises where there is none
        with open_probe(tree, side_by_side=1) as probe:
            reply = ask(probe, place, named.qualname, seed=tree.settings.seed)
    except (ProbeFailure, TargetRaised) as failure:
        raise Unfinished(f"{options.name}: {failure}") from failure
    finally:
        collected.close()
    typer.echo(spec_stub(reply, root=tree.root, settings=tree.settings), nl=False)
    raise typer.Exit(0 if reply.get("problem") is None else 1)


def _tree(
    named: Sequence[Named],
    target: Path | None,
    *,
    python: Path | None,
    seed: int | None,
    workers: int | None,
    config: Path | None,
) -> Target:
    root = target or find_root([name.path for name in named])
    return Target.load_tree(root, python=python, seed=seed, workers=workers, config=config)
