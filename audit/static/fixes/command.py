"""From the options of `astrobio-audit fix` to its exit code."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from audit.errors import EXIT_INCOMPLETE, UsageError
from audit.report.files import WriteError
from audit.report.streams import print_json
from audit.static.environment import site_folders
from audit.static.fixes.cli import FixOptions
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


def carry_out(options: FixOptions) -> None:
    """Work the fixes out, write or show them, and leave with the exit code.

    Raises:
        UsageError: the options, the paths or the configuration need correcting.
        WriteError: a file could not be written; all others were.
        typer.Exit: always at the end.
    """
    mode = _mode(options)
    settings = settings_of(options.folder, options.config)
    choice = choose(settings, options.select or ())
    trees = trees_of(options.paths or (Path("."),))
    verifier = _verifier(options) if options.verify else None
    with FactStore(cache_folder()) if options.cache else nullcontext() as store:
        run = work_out(
            trees,
            choice,
            allowed=_allowed(options, mode),
            exclude=settings.exclude,
            exclude_from=options.folder,
            installed=site_folders(interpreter_of(options.folder, options.python, options.config)),
            workers=settings.workers or min(4, available_cores()),
            store=store,
            held_back=verifier.held_back if verifier else lambda path, proposal: None,
            ignores=_ignores(settings, options.folder),
        )
    if mode is Mode.FIX:
        run = verifier.write(run, trees) if verifier else write(run, trees)
    _show(run, options, mode)  # of a run that was stopped, what it wrote until then
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


def _verifier(options: FixOptions) -> "Verifier":
    from audit.static.fixes.verify import verifier_of  # loads the probe, which a run without --verify does not need

    return verifier_of(Target.load(options.folder, python=options.python, config=options.config))


def _mode(options: FixOptions) -> Mode:
    if options.write and options.diff:
        raise UsageError("--fix and --diff exclude each other: --diff shows what --fix would write")
    if options.unsafe and not (options.write or options.diff):
        raise UsageError("--unsafe-fixes needs --fix or --diff; without them every fix is listed")
    if options.verify and not options.write:
        raise UsageError("--verify needs --fix: what is not written cannot be audited")
    return Mode.FIX if options.write else Mode.DIFF if options.diff else Mode.LIST


def _allowed(options: FixOptions, mode: Mode) -> frozenset[FixSafety]:
    """Return the kinds of fixes to work out; a list is only true of what was tried."""
    unsafe = options.unsafe or mode is Mode.LIST
    return frozenset({FixSafety.SAFE, FixSafety.UNSAFE} if unsafe else {FixSafety.SAFE})


def _show(run: FixRun, options: FixOptions, mode: Mode) -> None:
    if options.json:
        print_json(json_of(run, mode))
    elif options.quiet:
        return
    elif mode is Mode.DIFF:
        typer.echo(diffs_of(run, for_terminal=sys.stdout.isatty()), nl=False)
        typer.echo(summary(run, mode, unsafe=options.unsafe), err=True)
    else:
        typer.echo(text_of(run, mode, unsafe=options.unsafe), nl=False)
