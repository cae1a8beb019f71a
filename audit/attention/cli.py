"""Adds `astrobio-audit attention` and `spec`. Their bodies are imported when they run, so that `--help` stays fast."""

from dataclasses import dataclass
from typing import Annotated

import typer

from audit.options import (
    ConfigOption,
    ElsewhereOptions,
    KeepingOption,
    PythonOption,
    SeedOption,
    TargetAroundOption,
    add_command,
)

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE[::NAME]]...",
        help="Classes and functions to judge, in any file, without specs; a file alone: all attention in it; none: "
        "that of the target.",
    ),
]
FailFastOption = Annotated[bool, typer.Option("--fail-fast", "-x", help="Begin nothing more after the first failure.")]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="cpu|cuda|cuda:N",
        help="Where the target runs; on a GPU `attention.branches` calls the libraries themselves, not stand-ins.",
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="FILE::NAME", help="The class or function, in any file.")]
_HELP = (
    "Compare attention mechanisms with a float64 oracle and check their masks, causality, cache and gradients. Judges "
    "those that the specs declare; without specs, those that the inventory finds, built and called as their own source "
    "suggests."
)


_SPEC_HELP = (
    "Print a specs module for a class or function, to begin with: how it is built and called, as far as its source "
    "suggests it, and what is left for you to decide."
)


@dataclass(frozen=True, kw_only=True)
class AttentionOptions(ElsewhereOptions):
    """What the options of `attention` were set to."""

    names: NamesArgument = None
    target: TargetAroundOption = None
    cache: KeepingOption = True
    fail_fast: FailFastOption = False
    device: DeviceOption = "cpu"


@dataclass(frozen=True, kw_only=True)
class SpecOptions:
    """What the options of `spec` were set to."""

    name: NameArgument
    target: TargetAroundOption = None
    python: PythonOption = None
    config: ConfigOption = None
    seed: SeedOption = None


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    add_command(
        app,
        AttentionOptions,
        name="attention",
        summary=_HELP,
        examples_of=[
            "astrobio-audit attention",
            "astrobio-audit attention mypackage/layers.py::SelfAttention",
            "astrobio-audit attention --only causality --subject my_attention",
            "astrobio-audit attention --device cuda",
        ],
        run=_attention,
    )
    add_command(
        app,
        SpecOptions,
        name="spec",
        summary=_SPEC_HELP,
        examples_of=["astrobio-audit spec mypackage/layers.py::SelfAttention > mypackage/specs.py"],
        run=_spec,
    )


def _attention(options: AttentionOptions) -> None:
    from audit.attention.command import run_attention

    run_attention(options)


def _spec(options: SpecOptions) -> None:
    from audit.attention.command import print_spec

    print_spec(options)
