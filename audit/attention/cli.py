"""Adds `astrobio-audit attention`. A command's body is imported when it runs, so that `--help` stays fast."""

from pathlib import Path
from typing import Annotated

import typer

from audit.options import (
    FormatOption,
    JsonOption,
    NotebooksOption,
    OnlyOption,
    Options,
    OutputOption,
    PackageOption,
    ProbeOption,
    PythonOption,
    QuietOption,
    SeedOption,
    SubjectOption,
    WorkersOption,
    examples,
    format_of,
    leaving,
)

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE::NAME]...",
        help="Classes and functions to judge, in any file, without specs; none: those of the target.",
    ),
]
TargetOption = Annotated[
    Path | None,
    typer.Option(
        "--target",
        "-t",
        metavar="DIR",
        help="Folder with the pyproject.toml; the default is the current folder, for FILE::NAME the project around it.",
    ),
]
FailFastOption = Annotated[bool, typer.Option("--fail-fast", "-x", help="Begin nothing more after the first failure.")]
AttentionCacheOption = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Keep what was read and what was judged of unchanged files, in ASTROBIO_AUDIT_CACHE or ~/.cache; a run "
        "that was stopped goes on where it was, and a result that is not of this run says when it was measured.",
    ),
]
_HELP = (
    "Compare attention mechanisms with a float64 oracle and check their masks, causality, cache and gradients. Judges "
    "those that the specs declare; without specs, those that the inventory finds, built and called as their own source "
    "suggests."
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        name="attention",
        help=_HELP
        + examples(
            "astrobio-audit attention",
            "astrobio-audit attention mypackage/layers.py::SelfAttention",
            "astrobio-audit attention --only causality --subject my_attention",
        ),
    )(_attention)
    app.command(
        name="spec",
        help="Print a specs module for a class or function, to begin with: how it is built and called, as far as its "
        "source suggests it, and what is left for you to decide."
        + examples("astrobio-audit spec mypackage/layers.py::SelfAttention > mypackage/specs.py"),
    )(_spec)


def _spec(
    name: Annotated[str, typer.Argument(metavar="FILE::NAME", help="The class or function, in any file.")],
    target: TargetOption = None,
    python: PythonOption = None,
    seed: SeedOption = None,
) -> None:
    from audit.attention.command import print_spec

    with leaving():
        print_spec(name, target=target, python=python, seed=seed)


def _attention(
    names: NamesArgument = None,
    target: TargetOption = None,
    package: PackageOption = None,
    python: PythonOption = None,
    as_json: JsonOption = False,
    form: FormatOption = None,
    quiet: QuietOption = False,
    output: OutputOption = None,
    only: OnlyOption = None,
    subject: SubjectOption = None,
    seed: SeedOption = None,
    workers: WorkersOption = None,
    cache: AttentionCacheOption = True,
    notebooks: NotebooksOption = False,
    probe: ProbeOption = False,
    fail_fast: FailFastOption = False,
) -> None:
    from audit.attention.command import run_attention

    options = Options(
        target=target or Path("."),
        package=package,
        python=python,
        format=format_of(form, as_json=as_json),
        quiet=quiet,
        output=output,
        output_is_default=False,
        only=tuple(only or ()),
        subjects=tuple(subject or ()),
        seed=seed,
        workers=workers,
        cache=cache,
        notebooks=notebooks,
        probe=probe,
        fail_fast=fail_fast,
    )
    with leaving():
        run_attention(options, names=tuple(names or ()), target_is_given=target is not None)
