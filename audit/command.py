"""From options to an exit code: loads the target, shows progress, prints or writes the report."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from audit.options import ElsewhereOptions, Format, Options
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
from audit.target import Target


def run_area(
    options: Options,
    *,
    command: str,
    planners: Sequence[Planner],
    release: bool = False,
    needs_inventory: bool = False,
    keeps_results: bool = False,
    fail_fast: bool = False,
    one_thread: bool = False,
    prepared: Callable[[Target], Target] = lambda target: target,
) -> None:
    """Audit the target, as `prepared` makes it, and leave with the exit code of the report.

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
    request = Request(
        command=command,
        planners=planners,
        release=release,
        only=options.only or (),
        subjects=options.subject or (),
        needs_inventory=needs_inventory,
        cache=options.cache,
        keeps_results=keeps_results,
        one_thread=one_thread,
        fail_fast=fail_fast,
    )
    prepare_output(options)
    deliver(
        conduct_shown(target, request, quiet=options.quiet),
        form=options.form,
        quiet=options.quiet,
        output=options.output,
    )


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
    """Carry out a request, with its progress on a terminal unless `quiet`; raises what `conduct` raises."""
    if quiet:
        return conduct(target, request)
    with ProgressDisplay(request.command, Console(stderr=True)) as display:
        return conduct(target, replace(request, notify=display.notify, planned=display.planned))


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
