"""Adds `astrobio-audit static`. A command's body is imported when it runs, so that `--help` stays fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from audit.options import Options, TargetAroundOption, add_command

PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PATHS]...", help="Python files and folders to report on, of any tree; none: the target."),
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


@dataclass(frozen=True, kw_only=True)
class StaticOptions(Options):
    """What the options of `static` were set to."""

    paths: PathsArgument = None
    target: TargetAroundOption = None
    baseline: BaselineOption = None
    write_baseline: WriteBaselineOption = None
    diff_base: DiffBaseOption = None
    statistics: StatisticsOption = False
    add_noqa: AddNoqaOption = False
    watch: WatchOption = False


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    add_command(
        app,
        StaticOptions,
        name="static",
        summary=_HELP,
        examples_of=[
            "astrobio-audit static",
            "astrobio-audit static src tests/test_model.py",
            "astrobio-audit static --target path/to/project --package mypackage --json",
        ],
        run=_static,
    )


def _static(options: StaticOptions) -> None:
    from audit.static.command import run_static

    run_static(options)
