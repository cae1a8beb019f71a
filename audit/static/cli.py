"""Adds `astrobio-audit static`. A command's body is imported when it runs, so that `--help` stays fast."""

from pathlib import Path
from typing import Annotated

import typer

from audit.options import (
    CacheOption,
    FormatOption,
    JsonOption,
    NotebooksOption,
    OnlyOption,
    OutputOption,
    PackageOption,
    ProbeOption,
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
DiffBaseOption = Annotated[
    str | None,
    typer.Option("--diff-base", metavar="REV", help="Count only what is new since this revision of the repository."),
]
StatisticsOption = Annotated[
    bool, typer.Option("--statistics", help="Show how often each check failed instead of each failure.")
]
AddNoqaOption = Annotated[
    bool, typer.Option("--add-noqa", help="Write `# noqa: ID` behind every finding of a rule, then analyse again.")
]
WatchOption = Annotated[
    bool, typer.Option("--watch", "-w", help="Analyse again when a file changes, until Ctrl-C; a line for each change.")
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
    notebooks: NotebooksOption = False,
    probe: ProbeOption = False,
    baseline: BaselineOption = None,
    write_baseline: WriteBaselineOption = None,
    diff_base: DiffBaseOption = None,
    statistics: StatisticsOption = False,
    add_noqa: AddNoqaOption = False,
    watch: WatchOption = False,
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
        notebooks=notebooks,
        probe=probe,
        baseline=baseline,
        write_baseline=write_baseline,
        diff_base=diff_base,
        statistics=statistics,
        add_noqa=add_noqa,
        watch=watch,
    )
    with leaving():
        run_static(options)
