"""Adds `astrobio-audit static`. A command's body is imported when it runs, so that `--help` stays fast."""

from pathlib import Path
from typing import Annotated

import typer

from audit.options import (
    CacheOption,
    FormatOption,
    JsonOption,
    OnlyOption,
    OutputOption,
    PackageOption,
    PythonOption,
    QuietOption,
    SeedOption,
    StaticOptions,
    SubjectOption,
    WorkersOption,
    examples,
    format_of,
    leaving,
)

PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PATHS]...", help="Python files and folders to report on, of any tree; none: the target."),
]
TargetOption = Annotated[
    Path | None,
    typer.Option(
        "--target",
        "-t",
        metavar="DIR",
        help="Folder with the pyproject.toml; the default is the current folder, for PATHS the project around them.",
    ),
]
BaselineOption = Annotated[
    Path | None,
    typer.Option("--baseline", metavar="FILE", help="Findings that this file lists do not count for the exit code."),
]
WriteBaselineOption = Annotated[
    Path | None,
    typer.Option(
        "--write-baseline",
        metavar="FILE",
        help="Write what is found to FILE; out of one that exists, take what is gone.",
    ),
]
_HELP = (
    "Read Python sources without importing them: what parses, which classes are models, which modules would fail to "
    "import, and which rules find something. Reads the package that the configuration names; where it names none, and "
    "for PATHS, whatever is there."
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        name="static",
        help=_HELP
        + examples(
            "astrobio-audit static",
            "astrobio-audit static src tests/test_model.py",
            "astrobio-audit static --target path/to/project --package mypackage --json",
        ),
    )(_static)


def _static(
    paths: PathsArgument = None,
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
    cache: CacheOption = True,
    baseline: BaselineOption = None,
    write_baseline: WriteBaselineOption = None,
) -> None:
    from audit.static.command import run_static

    options = StaticOptions(
        target=target or Path("."),
        target_is_given=target is not None,
        paths=tuple(paths or ()),
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
        baseline=baseline,
        write_baseline=write_baseline,
    )
    with leaving():
        run_static(options)
