"""From the options of `astrobio-audit fix` to its exit code."""

import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from audit.errors import EXIT_INCOMPLETE, UsageError
from audit.report.files import WriteError
from audit.report.streams import print_json
from audit.static.environment import site_folders
from audit.static.fixes.places import trees_of
from audit.static.fixes.run import FixRun, Ignores, choose, work_out, write
from audit.static.fixes.show import Mode, diffs_of, is_clean, json_of, summary, text_of
from audit.static.ignores import PathIgnores
from audit.static.rules.rule import FixSafety
from audit.static.store import FactStore, cache_folder
from audit.stopping import is_stop_wanted
from audit.target import Settings, Target, available_cores, interpreter_of, settings_of

if TYPE_CHECKING:
    from audit.static.fixes.verify import Verifier


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the options were set to."""

    paths: tuple[Path, ...]
    target: Path
    python: Path | None
    write: bool
    diff: bool
    unsafe: bool
    verify: bool
    select: tuple[str, ...]
    cache: bool
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
    verifier = _verifier(wish) if wish.verify else None
    with FactStore(cache_folder()) if wish.cache else nullcontext() as store:
        run = work_out(
            trees,
            choice,
            allowed=_allowed(wish, mode),
            exclude=settings.exclude,
            exclude_from=wish.target,
            installed=site_folders(interpreter_of(wish.target, wish.python)),
            workers=settings.workers or min(4, available_cores()),
            store=store,
            held_back=verifier.held_back if verifier else lambda path, proposal: None,
            ignores=_ignores(settings, wish.target),
        )
    if mode is Mode.FIX:
        run = verifier.write(run, trees) if verifier else write(run, trees)
    _show(run, wish, mode)  # of a run that was stopped, what it wrote until then
    if is_stop_wanted():
        raise typer.Exit(EXIT_INCOMPLETE)
    for file in run.files:
        if file.unwritten:
            raise WriteError(file.unwritten)
    if not is_clean(run, mode):
        raise typer.Exit(1)
    raise typer.Exit(EXIT_INCOMPLETE if run.unreadable else 0)


def _ignores(settings: Settings, target: Path) -> Ignores:
    """Return which rules the configuration ignores for a file; its patterns are relative to the target."""
    table, root = PathIgnores(settings.per_path_ignores), Path(os.path.abspath(target))

    def ignores(path: Path, rule: str) -> bool:
        return path.is_relative_to(root) and table.ignores(path.relative_to(root).as_posix(), rule)

    return ignores


def _verifier(wish: Wish) -> "Verifier":
    from audit.static.fixes.verify import verifier_of  # loads the probe, which a run without --verify does not need

    return verifier_of(Target.load(wish.target, python=wish.python))


def _mode(wish: Wish) -> Mode:
    if wish.write and wish.diff:
        raise UsageError("--fix and --diff exclude each other: --diff shows what --fix would write")
    if wish.unsafe and not (wish.write or wish.diff):
        raise UsageError("--unsafe-fixes needs --fix or --diff; without them every fix is listed")
    if wish.verify and not wish.write:
        raise UsageError("--verify needs --fix: what is not written cannot be audited")
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
        typer.echo(summary(run, mode, unsafe=wish.unsafe), err=True)
    else:
        typer.echo(text_of(run, mode, unsafe=wish.unsafe), nl=False)
