"""From the options of `bench` to its exit code."""

import functools
import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

from audit import provenance
from audit.collected import Collected
from audit.devices import on_device
from audit.elsewhere.command import refuse_without_document, run_elsewhere, words_of
from audit.errors import EXIT_INCOMPLETE, UsageError
from audit.gateway import Probe
from audit.report.files import keep_from_git, prepare_folder, prepare_own_folder, write_atomically
from audit.report.text import one_line
from audit.target import Target
from validation.benchmark.asking import Rules
from validation.benchmark.command import LATEST, BenchOptions
from validation.benchmark.compare import compared, parse_document, read_document
from validation.benchmark.document import BenchmarkDocument, Hardware, schema_json
from validation.benchmark.grid import Axes, grid_of
from validation.benchmark.html import render_page
from validation.benchmark.journal import NAME, Journal, key_of
from validation.benchmark.lock import DeviceBusy, device_lock, folder_lock
from validation.benchmark.markdown import render
from validation.benchmark.plan import CasePlan, number_of_rows, plan_rows
from validation.benchmark.plots import write_plots
from validation.benchmark.presets import Preset
from validation.benchmark.publish import publish, refuse_unpublishable
from validation.benchmark.run import (
    CannotMeasure,
    Measured,
    document_of,
    hardware_of,
    measure,
    number_known,
    open_bench_probe,
    skipped_rows,
)
from validation.benchmark.terminal import BenchProgress, print_document

_STEM = "bench"
# What is done with the document wherever it was measured, and what names files of this machine.
_DONE_HERE = frozenset(
    ("target", "output", "as_json", "quiet", "gateway", "compare", "practical", "other_hardware", "publish")
)


def run_bench(options: BenchOptions) -> NoReturn:
    """Measure, or read what was measured; compare, write and print it; leave with its exit code.

    Raises:
        UsageError: the options or the configuration need correcting.
        typer.Exit: always at the end.
    """
    if options.schema:
        sys.stdout.write(schema_json())
        raise typer.Exit(0)
    target = Target.load(
        options.target or Path("."),
        package=options.package,
        python=options.python,
        seed=options.seed,
        config=options.config,
    )
    if options.publish and not options.from_file:
        refuse_unpublishable(*provenance.git_state(target.root))
    if options.output == LATEST:
        prepare_own_folder(options.output)
        keep_from_git(options.output)
    else:
        prepare_folder(options.output)
    # Read first: what cannot be compared with costs no measurement.
    old = read_document(options.compare, option="--compare") if options.compare else None
    with ExitStack() as during:
        document = _document(options, target, during)
        _compared_and_delivered(document, old, options, target)


def _compared_and_delivered(
    document: BenchmarkDocument, old: BenchmarkDocument | None, options: BenchOptions, target: Target
) -> NoReturn:
    if old is not None:
        document = compared(
            document,
            old,
            source=str(options.compare),
            practical_bound=options.practical,
            other_hardware=options.other_hardware,
        )
    _deliver(document, options, target)
    raise typer.Exit(document.exit_code)


def _document(options: BenchOptions, target: Target, during: ExitStack) -> BenchmarkDocument:
    """Return what is read or measured; `during` holds the folder of results until all is written there."""
    if options.from_file:
        return read_document(options.from_file, option="--from")
    if options.gateway is None:
        return _measured(options, target, during)
    done = run_elsewhere(
        options.gateway, words_of(options, _STEM, done_here=_DONE_HERE), folder=target.root, quiet=options.quiet
    )
    refuse_without_document(options.gateway, done)
    return parse_document(done.printed, named=f"--gateway {options.gateway}: what came back")


def _deliver(document: BenchmarkDocument, options: BenchOptions, target: Target) -> None:
    written = [options.output / f"{_STEM}.{form}" for form in ("json", "md", "html")]
    why: str | None
    if written[0].exists() and not any(row.timing for row in document.rows):
        written, why = [], f"nothing was timed: {one_line(str(written[0]), limit=None)} stays as it is"
    else:
        write_atomically(written[0], document.as_json())
        write_atomically(written[1], render(document))
        write_atomically(written[2], render_page(document))
        plots, why = write_plots(document, options.output)
        written += plots
    if not options.from_file and not options.gateway and not document.partial:
        (options.output / NAME).unlink(missing_ok=True)  # all of it is in the document now
    if options.publish:
        written += publish(document, target.root)
    if options.as_json:
        sys.stdout.write(document.as_json())
    elif not options.quiet:
        console = Console()
        print_document(document, console)
        if why:
            console.print(why, markup=False, soft_wrap=True)
        names = ", ".join(one_line(str(path), limit=None) for path in written)
        if names:
            console.print(f"written: {names}", markup=False, highlight=False, soft_wrap=True)


def _measured(options: BenchOptions, target: Target, during: ExitStack) -> BenchmarkDocument:
    started_at, state = provenance.now(), provenance.git_state(target.root)
    target, no_device = _placed(options, target)
    rules = Rules(
        relative_error=options.relative_error,
        seconds=options.seconds,
        rounds=options.rounds,
        warm_up=options.warm_up,
        seed=target.settings.seed,
        graph=options.graph,
        timeout_s=options.timeout + options.seconds,
    )
    with closing(Collected(target, cache=options.cache)) as collected:
        plans = plan_rows(
            collected,
            grid_of(options.preset, _axes(options)),
            only=options.backend or (),
            models=options.model or (),
            with_models=options.models,
        )
        package_digest = collected.shown.digest
    with open_bench_probe(target, options.threads) as probe:
        try:
            hardware = hardware_of(target, probe)
            if no_device is None:
                during.enter_context(folder_lock(options.output, wait_s=options.wait, tell=_tell(options)))
                found = _carried_out(options, target, probe, plans, rules, hardware, package_digest, state)
            else:
                found = Measured(rows=skipped_rows(plans, no_device), ceilings={}, is_stopped=False, resumed=0)
        except (CannotMeasure, DeviceBusy) as problem:
            typer.echo(f"astrobio-audit: bench: {one_line(str(problem), limit=None)}", err=True)
            raise typer.Exit(EXIT_INCOMPLETE) from problem
    return document_of(
        found,
        target=target,
        hardware=hardware,
        rules=rules,
        baseline=options.baseline,
        command=shlex.join(["astrobio-audit", *sys.argv[1:]]),
        package_digest=package_digest,
        state=state,
        started_at=started_at,
    )


def _tell(options: BenchOptions) -> Callable[[str], None]:
    return (lambda text: None) if options.quiet else functools.partial(typer.echo, err=True)


def _placed(options: BenchOptions, target: Target) -> tuple[Target, str | None]:
    """Return the target on its device, and why nothing can be measured where there is no device for the preset.

    A device that the user names and that is not there is an error of usage.
    """
    if options.device is not None:
        return on_device(target, options.device), None
    if options.preset is not Preset.GPU:
        return target, None
    try:
        return on_device(target, "cuda"), None
    except UsageError as missing:
        return target, f"no device: {missing}"


def _carried_out(
    options: BenchOptions, target: Target, probe: Probe, plans: list[CasePlan], rules: Rules, hardware: Hardware,
    package_digest: str, state: tuple[str | None, bool | None],
) -> Measured:  # fmt: skip
    key = key_of(
        {"rules": vars(rules), "hardware": hardware.model_dump(), "digest": package_digest, "commit": state[0],
         "python": str(target.python), "specs": target.settings.specs}
    )  # fmt: skip
    progress = BenchProgress(number_of_rows(plans), quiet=options.quiet)
    with (
        progress,
        device_lock(hardware.uuid or hardware.kind, wait_s=options.wait, tell=progress.say),
        closing(Journal(options.output / NAME, key, fresh=options.fresh)) as journal,
    ):
        known = number_known(plans, journal)
        progress.skip(known)
        if known:
            progress.say(f"going on behind {known} rows of a run that was cut short; --fresh measures them again")
        return measure(target, probe, plans, rules, hardware, journal, progress.notify)


def _axes(options: BenchOptions) -> Axes:
    return Axes(
        batch=options.batch or (),
        heads=options.heads or (),
        length=options.length or (),
        head_dim=options.head_dim or (),
        causal=options.causal,
        window=options.window or (),
        dtype=options.dtype or (),
        mode=options.mode or (),
        model_batch=options.model_batch,
    )
