"""Adds `astrobio-audit fix`."""

from pathlib import Path
from typing import Annotated

import typer

from audit.options import CacheOption, JsonOption, PythonOption, QuietOption, TargetOption, examples, leaving

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


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        name="fix",
        help=_HELP
        + examples(
            "astrobio-audit fix",
            "astrobio-audit fix src/zoo --diff --unsafe-fixes",
            "astrobio-audit fix --fix --select API002 --select SUP001",
        ),
    )(_fix)


def _fix(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATHS]", help="Files or folders.")] = None,
    target: TargetOption = Path("."),
    python: PythonOption = None,
    write: Annotated[bool, typer.Option("--fix", help="Write the safe fixes.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print unified diffs and write nothing.")] = False,
    unsafe: Annotated[bool, typer.Option("--unsafe-fixes", help="With --fix or --diff: the unsafe ones too.")] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="With --fix: keep a fix of attention code only where the attention audit of the target gets better.",
        ),
    ] = False,
    select: Annotated[
        list[str] | None, typer.Option("--select", metavar="ID", help="Edit for this rule only; may be repeated.")
    ] = None,
    cache: CacheOption = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    from audit.static.fixes.command import Wish, carry_out

    wish = Wish(
        paths=tuple(paths or (Path("."),)),
        target=target,
        python=python,
        write=write,
        diff=diff,
        unsafe=unsafe,
        verify=verify,
        select=tuple(select or ()),
        cache=cache,
        json=as_json,
        quiet=quiet,
    )
    with leaving():
        carry_out(wish)
