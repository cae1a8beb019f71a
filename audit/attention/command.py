"""The course of `astrobio-audit attention`, from its options to its exit code."""

import functools
import re
from dataclasses import replace
from pathlib import Path

import typer

from audit.attention.cli import AttentionOptions, SpecOptions
from audit.attention.found import ask, ask_model
from audit.attention.inside import attention_inside
from audit.attention.named import is_model_class, item_named
from audit.attention.plan import plan_attention, plan_named
from audit.attention.spec.elsewhere import attention_beside
from audit.attention.spec.names import import_name
from audit.attention.spec.stub import leaves_nothing, spec_stub
from audit.attention.without import holds_no_attention
from audit.collected import Collected
from audit.command import deliver_from_elsewhere, run_area, run_named, tree_around
from audit.devices import on_device
from audit.errors import Unfinished, UsageError
from audit.execute import open_probe
from audit.gateway import ProbeFailure, TargetRaised
from audit.named import Named, read_names
from audit.static.paths import paths_inside
from audit.target import Target

_AREA = "attention"
_CALLED_SO = re.compile(r"atten|attn|multi_?head|sdpa|mha|mqa|gqa", re.IGNORECASE)


def run_attention(options: AttentionOptions) -> None:
    """Judge the target's attention mechanisms, or those that are named as `FILE::NAME`.

    Raises:
        UsageError: the options, the names or the configuration need correcting.
        typer.Exit: always at the end, with the report's exit code.
    """
    options = replace(options, only=list(map(_with_area, options.only or ())))
    if options.gateway:
        deliver_from_elsewhere(options, command=_AREA)
    prepared = functools.partial(on_device, name=options.device)
    if not options.names:
        run_area(
            options,
            command=_AREA,
            planners=lambda: [plan_attention],
            keeps_results=True,
            one_thread=True,
            fail_fast=options.fail_fast,
            prepared=prepared,
        )
        return
    run_named(
        options,
        options.names,
        command=_AREA,
        planner_of=plan_named,
        keeps_results=True,
        # Small tensors gain nothing from threads, which wait for one another by spinning: on two busy cores the same
        # class took 15 s of CPU time with two threads, and 1.1 s with one.
        one_thread=True,
        fail_fast=options.fail_fast,
        prepared=prepared,
    )


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
    from audit.attention.spec.lengths import with_own_lengths  # loads torch

    (named,) = read_names([options.name])
    if not named.qualname:
        raise UsageError(f"{options.name}: a class or function is needed, FILE::NAME, as in model.py::SelfAttention")
    tree = tree_around(
        [named], options.target, python=options.python, seed=options.seed, workers=None, config=options.config
    )
    (place,) = paths_inside(tree.root, [named.path])
    collected = Collected(tree.limited_to((place,)), cache=True)
    try:
        item = item_named(collected, Named(place, named.qualname))
        is_model = "mechanisms" not in item.facts and is_model_class(collected, item)
        import_name(place)
        holds_none = is_model and holds_no_attention(place, named.qualname)
        attends = not holds_none
        with open_probe(tree, side_by_side=1) as probe:
            reply = ask(probe, place, named.qualname, seed=tree.settings.seed)
            model = ask_model(probe, place, named.qualname, seed=tree.settings.seed) if is_model else None
            reply = with_own_lengths(reply, probe, seed=tree.settings.seed)  # last: it may end the process
    except (ProbeFailure, TargetRaised) as failure:
        raise Unfinished(f"{options.name}: {failure}") from failure
    finally:
        collected.close()
    found = reply.get("problem") is None
    if model is not None and model.get("problem") is None:
        attends = attends and found  # that it cannot be called as attention is no matter then
    elif attends and model is not None and not found and not _may_attend(tree, place, named.qualname):
        attends = False
    elif attends:
        model = None
    elsewhere = [] if attends or holds_none else attention_beside(tree, place, named.qualname)
    text = spec_stub(reply, root=tree.root, settings=tree.settings, model=model, attends=attends, elsewhere=elsewhere)
    typer.echo(text, nl=False)
    is_model_found = model is not None and model.get("problem") is None
    raise typer.Exit(0 if (found and leaves_nothing(reply) if attends else is_model_found) else 1)


def _may_attend(tree: Target, place: Path, qualname: str) -> bool:
    """Whether a module of which nothing was found out may be attention: it is called so, and no other attends in it."""
    return _CALLED_SO.search(qualname) is not None and not attention_inside(tree, place, qualname)
