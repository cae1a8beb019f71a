"""Adds `astrobio-audit fix`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from audit.options import CacheOption, ConfigOption, JsonOption, PythonOption, QuietOption, TargetOption, add_command

_HELP = """Make the edits that findings of the rules call for, or show them; never imports what it edits.

Without --fix nothing is written. An edit is safe where the program computes the same on torch 2.11 to 2.13, unsafe
where a person has to look, or a suggestion, which is never made. After its edits a file must parse, the findings must
be gone, no rule may find anything new and nothing else may have changed; else the file stays as it is.

\b
Exit codes:
  0  nothing to fix, or everything is fixed
  1  something can be fixed, or could not be
  2  usage error, or no Python file
  3  a file could not be written, or an internal error"""


PathsArgument = Annotated[list[Path] | None, typer.Argument(metavar="[PATHS]", help="Files or folders.")]
FixOption = Annotated[bool, typer.Option("--fix", help="Write the safe fixes.")]
DiffOption = Annotated[bool, typer.Option("--diff", help="Print unified diffs and write nothing.")]
UnsafeOption = Annotated[bool, typer.Option("--unsafe-fixes", help="With --fix or --diff: the unsafe ones too.")]
VerifyOption = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="With --fix: keep a fix of attention code only where the attention audit of the target gets better.",
    ),
]
SelectOption = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="RULE", help="Edit for this rule or family only; may be repeated."),
]


@dataclass(frozen=True, kw_only=True)
class FixOptions:
    """What the options of `fix` were set to."""

    paths: PathsArgument = None
    target: TargetOption = None
    python: PythonOption = None
    config: ConfigOption = None
    write: FixOption = False
    diff: DiffOption = False
    unsafe: UnsafeOption = False
    verify: VerifyOption = False
    select: SelectOption = None
    cache: CacheOption = True
    json: JsonOption = False
    quiet: QuietOption = False

    @property
    def folder(self) -> Path:
        """The folder with the configuration."""
        return self.target or Path(".")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    add_command(
        app,
        FixOptions,
        name="fix",
        summary=_HELP,
        examples_of=[
            "astrobio-audit fix",
            "astrobio-audit fix src/zoo --diff --unsafe-fixes",
            "astrobio-audit fix --fix --select API002 --select SUP001",
        ],
        run=_fix,
    )


def _fix(options: FixOptions) -> None:
    from audit.static.fixes.command import carry_out

    carry_out(options)
