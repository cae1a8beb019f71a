"""From the options of `astrobio-audit fix` to its exit code."""

import sys
from dataclasses import dataclass
from pathlib import Path

import typer

from audit.errors import UsageError
from audit.report.files import WriteError
from audit.report.streams import print_json
from audit.static.environment import site_folders
from audit.static.fixes.places import trees_of
from audit.static.fixes.run import FixRun, choose, work_out, write
from audit.static.fixes.show import Mode, diffs_of, is_clean, json_of, summary, text_of
from audit.static.rules.rule import FixSafety
from audit.target import interpreter_of, settings_of


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the options were set to."""

    paths: tuple[Path, ...]
    target: Path
    python: Path | None
    write: bool
    diff: bool
    unsafe: bool
    select: tuple[str, ...]
    json: bool
    quiet: bool


def carry_out(wish: Wish) -> None:
    """Work the fixes out, write or show them, and leave with the exit code.

    Raises:
        UsageError: the options, the paths or the configuration need correcting.
        WriteError: a file could not be written; all others were.
        typer.Exit: always at the end.
    """
    mode = _mode(wish)
    settings = settings_of(wish.target)
    choice = choose(settings, wish.select)
    trees = trees_of(wish.paths)
    run = work_out(
        trees,
        choice,
        allowed=_allowed(wish, mode),
        exclude=settings.exclude,
        installed=site_folders(interpreter_of(wish.target, wish.python)),
    )
    if mode is Mode.FIX:
        run = write(run, trees)
    _show(run, wish, mode)
    for file in run.files:
        if file.unwritten:
            raise WriteError(file.unwritten)
    raise typer.Exit(0 if is_clean(run, mode) else 1)


def _mode(wish: Wish) -> Mode:
    if wish.write and wish.diff:
        raise UsageError("--fix and --diff exclude each other: --diff shows what --fix would write")
    if wish.unsafe and not (wish.write or wish.diff):
        raise UsageError("--unsafe-fixes needs --fix or --diff; without them every fix is listed")
    return Mode.FIX if wish.write else Mode.DIFF if wish.diff else Mode.LIST


def _allowed(wish: Wish, mode: Mode) -> frozenset[FixSafety]:
    """Return the kinds of fixes to work out; a list is only true of what was tried."""
    unsafe = wish.unsafe or mode is Mode.LIST
    return frozenset({FixSafety.SAFE, FixSafety.UNSAFE} if unsafe else {FixSafety.SAFE})


def _show(run: FixRun, wish: Wish, mode: Mode) -> None:
    if wish.json:
        print_json(json_of(run, mode))
    elif wish.quiet:
        return
    elif mode is Mode.DIFF:
        typer.echo(diffs_of(run, for_terminal=sys.stdout.isatty()), nl=False)
        typer.echo(summary(run, mode), err=True)
    else:
        typer.echo(text_of(run, mode), nl=False)
