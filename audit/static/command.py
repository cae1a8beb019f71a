"""The course of `astrobio-audit static`, from its options to its exit code."""

from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console

from audit.command import conduct_shown, deliver, prepare_output, written
from audit.errors import UsageError
from audit.options import Format
from audit.report.document import Report
from audit.report.statistics import statistics_json, statistics_text
from audit.report.streams import print_json
from audit.report.terminal import print_report
from audit.report.text import counted, one_line
from audit.session import Request
from audit.static.add_noqa import add_noqa
from audit.static.checks import plan_static
from audit.static.cli import StaticOptions
from audit.static.known import comparison_of
from audit.static.paths import find_root, paths_inside
from audit.static.records import without_collector
from audit.static.rules.checks import plan_rules
from audit.static.watching import watch
from audit.target import Target, names_package

_MAX_LEFT = 20


def run_static(options: StaticOptions) -> None:
    """Analyse a package or a tree and leave with the exit code of the report.

    Raises:
        UsageError: the options, the paths or the configuration need correcting.
        typer.Exit: always at the end, with the report's exit code.
    """
    _refuse_contradictions(options)
    prepare_output(options)
    if options.watch:
        _watch(options)
    report = _analysed(options)
    if options.add_noqa and not report.interrupted:
        report = _silenced(report, options)
    if options.statistics:
        _print_statistics(report, options)
    deliver(report, form=options.form, quiet=options.quiet, output=options.output)


def _refuse_contradictions(options: StaticOptions) -> None:
    if options.watch and (options.form is not Format.TEXT or options.output):
        raise UsageError("--watch writes lines of text; leave --format and --output out")
    if options.watch and (options.add_noqa or options.write_baseline or options.statistics):
        raise UsageError("--watch only looks; leave --add-noqa, --write-baseline and --statistics out")
    if options.add_noqa and options.write_baseline:
        raise UsageError("--add-noqa and --write-baseline are two ways to live with a finding; give one of them")
    if options.statistics and options.form not in (Format.TEXT, Format.JSON):
        raise UsageError(f"--statistics has no form {options.form}; ask for text or json")


def _analysed(options: StaticOptions) -> Report:
    target = load_target(options)
    request = Request(
        command="static",
        planners=[plan_static, plan_rules],
        only=options.only or (),
        subjects=options.subject or (),
        needs_inventory=True,
        cache=options.cache,
    )

    def run(other: Target) -> Report:
        return conduct_shown(other, request, quiet=True)

    limits = [] if options.diff_base is None else [f"limited to what is new since {options.diff_base}"]
    comparing = replace(request, limits=limits, compare=comparison_of(options, target, run=run))
    with without_collector():
        return conduct_shown(target, comparing, quiet=options.quiet or options.watch)


def load_target(options: StaticOptions) -> Target:
    """Return the tree that the paths name, else the package of the target, else the target's folder as a tree.

    Raises:
        UsageError: what is named does not exist, or the configuration is malformed.
    """
    if options.paths and options.package:
        raise UsageError("--package and PATHS are two ways to say what is analysed; give one of them")
    if options.paths:
        root = options.target or find_root(options.paths)
        tree = _tree(root, options)
        return tree.limited_to(paths_inside(tree.root, options.paths))
    if options.package or names_package(options.folder, options.config):
        return Target.load(
            options.folder,
            package=options.package,
            python=options.python,
            seed=options.seed,
            workers=options.workers,
            notebooks=options.notebooks,
            probe=options.probe,
            config=options.config,
        )
    return _tree(options.folder, options)


def _tree(root: Path, options: StaticOptions) -> Target:
    return Target.load_tree(
        root,
        python=options.python,
        seed=options.seed,
        workers=options.workers,
        notebooks=options.notebooks,
        probe=options.probe,
        config=options.config,
    )


def _watch(options: StaticOptions) -> None:
    def say(line: str) -> None:
        if not options.quiet:
            typer.echo(one_line(line, limit=None) if not line.startswith(" ") else f"  {one_line(line, limit=None)}")

    def show(report: Report) -> None:
        if not options.quiet:
            print_report(report, Console())

    root: Path = load_target(options).root
    raise typer.Exit(watch(lambda: _analysed(options), root, show=show, say=say))


def _silenced(report: Report, options: StaticOptions) -> Report:
    """Silence what is left and return the report of a second run, which tells whether that is so."""
    done = add_noqa(report, load_target(options).root)
    if not options.quiet:
        findings, files = counted(done.findings, "finding"), counted(done.files, "file")
        typer.echo(f"silenced {findings} in {files}", err=True)
        for reason in done.left[:_MAX_LEFT]:
            typer.echo(f"not silenced: {one_line(reason, limit=None)}", err=True)
        if len(done.left) > _MAX_LEFT:
            typer.echo(f"not silenced: {len(done.left) - _MAX_LEFT} more", err=True)
    return _analysed(options)


def _print_statistics(report: Report, options: StaticOptions) -> None:
    unwritten = written(report, options.output) if options.output else None
    if options.form is Format.JSON:
        print_json(statistics_json(report))
    elif not options.quiet:
        typer.echo(statistics_text(report), nl=False)
    if unwritten:
        raise unwritten
    raise typer.Exit(report.exit_code)
