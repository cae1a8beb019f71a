"""Adds `astrobio-audit init`. Its body is imported when it runs, so that `--help` stays fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from audit.options import PackageOption, QuietOption, TargetOption, add_command

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")]


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """What the options of `init` were set to."""

    target: TargetOption = None
    package: PackageOption = None
    dry_run: DryRunOption = False
    quiet: QuietOption = False

    @property
    def folder(self) -> Path:
        """The folder of the project."""
        return self.target or Path(".")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    add_command(
        app,
        InitOptions,
        name="init",
        summary="Begin: write the table [tool.astrobio-audit], a specs module to fill in and a GitHub workflow. What "
        "exists is named and left as it is; the package is read and not imported.",
        examples_of=["astrobio-audit init", "astrobio-audit init --target path/to/project --dry-run"],
        run=_init,
    )


def _init(options: InitOptions) -> None:
    from audit.starting.command import begin

    begin(options)
