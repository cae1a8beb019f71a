"""From options to an exit code: loads the target, shows progress, prints or writes the report."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from audit.errors import Unfinished, UsageError
from audit.named import Named, read_names
from audit.options import ElsewhereOptions, Format, Options
from audit.profiles import Profile
from audit.report.defects import FOLDER, has_reproducers
from audit.report.document import Report
from audit.report.files import WriteError, keep_from_git, prepare_folder, prepare_own_folder
from audit.report.github import STEP_SUMMARY, add_to_step_summary
from audit.report.progress import ProgressDisplay
from audit.report.rendering import print_rendered
from audit.report.terminal import print_report
from audit.report.text import one_line
from audit.report.write import file_stem, write_files
from audit.session import Planner, Request, conduct
from audit.static.paths import find_root, paths_inside
from audit.target import Target


def run_area(
    options: Options,
    *,
    command: str,
    planners: Callable[[], Sequence[Planner]],
    release: bool = False,
    profile: Profile | None = None,
    needs_inventory: bool = False,
    keeps_results: bool = False,
    fail_fast: bool = False,
    one_thread: bool = False,
    prepared: Callable[[Target], Target] = lambda target: target,
) -> None:
    """Audit the target, as `prepared` makes it, and leave with the exit code of the report.

    `planners` is called when the target is known: loading those that judge models takes seconds, which whoever has
    mistyped a folder need not wait for.

    Raises:
        UsageError: the options or the configuration need correcting.
        typer.Exit: always at the end, with the report's exit code.
    """
    if isinstance(options, ElsewhereOptions) and options.gateway:
        deliver_from_elsewhere(options, command=command)
    target = Target.load(
        options.folder,
        package=options.package,
        python=options.python,
        seed=options.seed,
        workers=options.workers,
        notebooks=options.notebooks,
        probe=options.probe,
        config=options.config,
    )
    target = prepared(target)
    prepare_output(options)
    request = Request(
        command=command,
        planners=planners(),
        release=release,
        profile=profile,
        only=options.only or (),
        subjects=options.subject or (),
        needs_inventory=needs_inventory,
        cache=options.cache,
        keeps_results=keeps_results,
        one_thread=one_thread,
        fail_fast=fail_fast,
    )
    deliver(
        conduct_shown(target, request, quiet=options.quiet),
        form=options.form,
        quiet=options.quiet,
        output=options.output,
    )


def tree_around(
    named: Sequence[Named],
    target: Path | None,
    *,
    python: Path | None,
    seed: int | None,
    workers: int | None,
    config: Path | None,
) -> Target:
    """Return the tree that holds what is named: the target of the flag, else the nearest root.

    Raises:
        UsageError: the folder, the configuration or the interpreter is missing or malformed.
    """
    root = target or find_root([name.path for name in named])
    return Target.load_tree(root, python=python, seed=seed, workers=workers, config=config)


def run_named(
    options: Options,
    texts: Sequence[str],
    *,
    command: str,
    planner_of: Callable[[Sequence[Named]], Planner],
    keeps_results: bool = False,
    fail_fast: bool = False,
    one_thread: bool = False,
    prepared: Callable[[Target], Target] = lambda target: target,
) -> NoReturn:
    """Judge what is named, in its tree as `prepared` makes it, and leave with the exit code of the report.

    Raises:
        UsageError: the options, the names or the configuration need correcting.
        typer.Exit: always at the end, with the report's exit code.
    """
    if options.package:
        raise UsageError("--package and FILE::NAME are two ways to say what is judged; give one of them")
    named = read_names(texts)
    tree = prepared(
        tree_around(
            named,
            options.target,
            python=options.python,
            seed=options.seed,
            workers=options.workers,
            config=options.config,
        )
    )
    located = [Named(place, name.qualname) for name in named for place in paths_inside(tree.root, [name.path])]
    request = Request(
        command=command,
        planners=[planner_of(located)],
        only=options.only or (),
        subjects=options.subject or (),
        cache=options.cache,
        keeps_results=keeps_results,
        one_thread=one_thread,
        fail_fast=fail_fast,
    )
    prepare_output(options)
    # Every result says how to repeat it, and that is by these names.
    words = [replace(place, path=place.path.relative_to(tree.root)).text for place in located]
    limited = tree.limited_to(paths_inside(tree.root, [name.path for name in named])).model_copy(
        update={"flags": (*words, "--target", ".", *tree.flags)}
    )
    report = conduct_shown(limited, request, quiet=options.quiet)
    deliver(report, form=options.form, quiet=options.quiet, output=options.output)


def deliver_from_elsewhere(options: ElsewhereOptions, *, command: str) -> NoReturn:
    """Have another machine carry out the command, and deliver its report as if it had run here.

    Raises:
        UsageError: the machine cannot be used, or refuses.
        typer.Exit: always at the end, with the report's exit code.
    """
    from audit.elsewhere.command import report_from

    prepare_output(options)
    report = report_from(options, command, options.folder)
    deliver(report, form=options.form, quiet=options.quiet, output=options.output)


def prepare_output(options: Options) -> None:
    """Create the folder for the report, before any work is done for it.

    Raises:
        UsageError: it cannot be created or written to.
    """
    if options.output:
        if options.output_is_default:
            prepare_own_folder(options.output)
            keep_from_git(options.output)
        else:
            prepare_folder(options.output)


def conduct_shown(target: Target, request: Request, *, quiet: bool) -> Report:
    """Carry out a request, with its progress on a terminal unless `quiet`; raises what `conduct` raises.

    Raises:
        Unfinished: the target's folder has gone meanwhile.
    """
    try:
        if quiet:
            return conduct(target, request)
        with ProgressDisplay(request.command, Console(stderr=True)) as display:
            return conduct(target, replace(request, notify=display.notify, planned=display.planned))
    except FileNotFoundError as missing:
        if target.root.is_dir() and target.source.is_dir():
            raise
        gone = f"{target.root}: the target's folder was there when the run began, and is gone"
        raise Unfinished(f"{gone}: what is imported of it may have removed it") from missing


def deliver(report: Report, *, form: Format, quiet: bool, output: Path | None) -> NoReturn:
    """Write and print the report, then leave with its exit code."""
    unwritten = written(report, output) if output else None
    if form is not Format.TEXT:
        print_rendered(report, form)
        if form is Format.GITHUB:
            unwritten = unwritten or summarised(report)
    elif not quiet:
        console = Console()
        print_report(report, console)
        if output and not unwritten:
            place = one_line(str(output / file_stem(report)), limit=None)
            scripts = f", and {one_line(str(output / FOLDER), limit=None)}" if has_reproducers(report) else ""
            console.print(Text(f"written: {place}.json, .md and .html{scripts}"), soft_wrap=True)
    if unwritten:
        raise unwritten
    raise typer.Exit(report.exit_code)


def written(report: Report, output: Path) -> WriteError | None:
    """Write the report; return what hindered it, for what was measured is still printed."""
    try:
        write_files(report, output)
    except WriteError as error:
        return error
    return None


def summarised(report: Report) -> WriteError | None:
    """Add the summary to what GitHub shows of the step, where there is one; return what hindered it."""
    path = os.environ.get(STEP_SUMMARY)
    if not path:
        return None
    try:
        add_to_step_summary(report, Path(path))
    except WriteError as error:
        return error
    return None
