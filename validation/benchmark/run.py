"""The course of a benchmark: ceilings of the device, then rows one after another, then the document."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from audit import __version__, provenance
from audit.gateway import Limits, Probe, ProbeFailure, TargetRaised
from audit.raised import describe_failure, describe_raised
from audit.report.document import Tool
from audit.target import Target, available_cores
from validation.benchmark.ahead import checked_ahead
from validation.benchmark.asking import Asker, NoTime, Rules
from validation.benchmark.clocks import read_clocks
from validation.benchmark.datasheet import Part, part_of
from validation.benchmark.document import (
    SCHEMA_VERSION,
    BenchmarkDocument,
    Ceiling,
    Hardware,
    Method,
    Origin,
    Peak,
    exit_code_of,
)
from validation.benchmark.formulas import FORMULAS
from validation.benchmark.journal import Journal
from validation.benchmark.plan import CasePlan, uses_dtypes
from validation.benchmark.pytest_form import benchmark_entries
from validation.benchmark.rates import exceeds, with_rates, with_speedups
from validation.benchmark.rows import Row, RowOutcome, Verified
from validation.benchmark.timing_rows import rows_of_case

_CEILING_S = 4.0  # of a dtype
_STOPPED = "stopped by the user before its turn"
Notify = Callable[[str, Row | None], None]


class CannotMeasure(Exception):
    """The target's process does not tell what it runs on, or cannot multiply matrices there."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a run leaves behind."""

    rows: tuple[Row, ...]
    ceilings: dict[str, Ceiling]
    is_stopped: bool
    resumed: int


def hardware_of(target: Target, probe: Probe) -> Hardware:
    """Ask the target's process what it runs on.

    Raises:
        CannotMeasure: it does not answer.
    """
    system, machine = provenance.machine()
    try:
        reply = dict(probe.call("benchmark_device"))
        return Hardware.model_validate({**reply, "platform": system, "machine": machine})
    except TargetRaised as raised:
        raise CannotMeasure(describe_raised(raised, target)) from raised
    except ProbeFailure as failure:
        raise CannotMeasure(describe_failure(failure, target)) from failure
    except ValidationError as invalid:
        raise CannotMeasure("the target's process sent an unreadable answer on its device") from invalid


def skipped_rows(plans: Sequence[CasePlan], reason: str) -> tuple[Row, ...]:
    """Return a row for every one of the plan that says why none of them was measured."""
    return tuple(
        Row(case=plan.case, backend=backend, outcome=RowOutcome.SKIPPED, reason=reason)
        for plan in plans
        for backend in plan.backends
    )


def measure(
    target: Target, probe: Probe, plans: Sequence[CasePlan], rules: Rules, hardware: Hardware, journal: Journal,
    notify: Notify,
) -> Measured:  # fmt: skip
    """Measure ceilings and every row that the journal does not have yet; Ctrl-C leaves the rest as it is known.

    Cases that nothing is known of come before those where something failed in an earlier run: the time that there is
    goes to what was never asked.

    Raises:
        CannotMeasure: there are no ceilings.
    """
    resumed, is_stopped = number_known(plans, journal), False
    known = journal.unsettled | journal.rows
    plans_in_turn = sorted(plans, key=lambda plan: _is_known(plan, known))
    part = part_of(hardware.name, hardware.memory_bytes)
    asker = Asker(target, probe, rules)
    try:
        for dtype in uses_dtypes(plans):
            if dtype not in journal.ceilings:
                notify(f"ceilings of {dtype}", None)
                journal.add_ceiling(_ceiling(target, probe, dtype))
        ahead = checked_ahead(
            [
                (plan.case, each)
                for plan in plans_in_turn
                for each in plan.backends
                if (plan.case.id, each.name) not in journal.rows and each.name not in plan.problems
            ],
            asker,
            side_by_side=available_cores(),
            notify=lambda text: notify(text, None),
        )
        found_ahead: dict[str, dict[str, Verified | NoTime]] = {}
        for (case_id, name), found in ahead.items():
            found_ahead.setdefault(case_id, {})[name] = found
        for plan in plans_in_turn:
            wanted = [each for each in plan.backends if (plan.case.id, each.name) not in journal.rows]
            for backend in wanted:
                if backend.name in plan.problems:
                    reason = f"the specs' entry cannot be used: {plan.problems[backend.name]}"
                    row = Row(case=plan.case, backend=backend, outcome=RowOutcome.RAISED, reason=reason)
                    known[row.key] = row
                    notify(plan.case.id, row)
            able = [each for each in wanted if each.name not in plan.problems]
            for row in rows_of_case(
                plan.case,
                able,
                asker,
                rules,
                lambda: read_clocks(hardware.uuid, on_gpu=target.on_gpu),
                lambda text: notify(text, None),
                found_ahead.get(plan.case.id, {}),
            ):
                journal.add_row(row)
                known[row.key] = row
                notify(plan.case.id, row)
        _raise_ceilings(target, probe, known, journal)
    except KeyboardInterrupt:
        is_stopped = True
    rows = tuple(
        _finished(plan, backend.name, known, journal.ceilings, part) for plan in plans for backend in plan.backends
    )
    return Measured(rows=rows, ceilings=dict(journal.ceilings), is_stopped=is_stopped, resumed=resumed)


def _is_known(plan: CasePlan, known: Mapping[tuple[str, str], Row]) -> bool:
    return all((plan.case.id, each.name) in known for each in plan.backends if each.name not in plan.problems)


def number_known(plans: Sequence[CasePlan], journal: Journal) -> int:
    """Return how many rows of the plan an earlier run has measured."""
    return sum((plan.case.id, each.name) in journal.rows for plan in plans for each in plan.backends)


def _finished(
    plan: CasePlan, name: str, known: Mapping[tuple[str, str], Row], ceilings: Mapping[str, Ceiling], part: Part | None
) -> Row:
    """Return the row, with rates; one without a row is there all the same, and says that it was not run."""
    row = known.get((plan.case.id, name))
    if row is None:
        backend = next(each for each in plan.backends if each.name == name)
        return Row(case=plan.case, backend=backend, outcome=RowOutcome.NOT_RUN, reason=_STOPPED)
    return with_rates(row, ceilings, part)


def _raise_ceilings(target: Target, probe: Probe, known: Mapping[tuple[str, str], Row], journal: Journal) -> None:
    """Measure a ceiling again that a row exceeds: on a busy machine it may have been met at a bad moment."""
    for dtype, ceiling in list(journal.ceilings.items()):
        rows = [row for row in known.values() if getattr(row.case, "dtype", None) == dtype]
        if any(exceeds(row, ceiling) for row in rows):
            again = _ceiling(target, probe, dtype)
            journal.add_ceiling(
                Ceiling(
                    dtype=dtype,
                    flops_per_s=max(ceiling.flops_per_s, again.flops_per_s),
                    bytes_per_s=max(ceiling.bytes_per_s, again.bytes_per_s),
                )
            )


def _ceiling(target: Target, probe: Probe, dtype: str) -> Ceiling:
    try:
        reply = probe.beside("ceilings").call("benchmark_ceilings", dtype=dtype, seconds=_CEILING_S, timeout_s=120.0)
        return Ceiling.model_validate({"dtype": dtype, **reply})
    except TargetRaised as raised:
        raise CannotMeasure(f"ceilings of {dtype}: {describe_raised(raised, target)}") from raised
    except ProbeFailure as failure:
        raise CannotMeasure(f"ceilings of {dtype}: {describe_failure(failure, target)}") from failure
    except ValidationError as invalid:
        raise CannotMeasure(f"ceilings of {dtype}: the target's process sent an unreadable answer") from invalid


def open_bench_probe(target: Target, threads: int | None) -> Probe:
    """Return a probe whose children have all cores, or so many threads: they run one at a time."""
    settings = target.settings
    return Probe(
        python=target.python,
        source=target.source,
        root=target.root,
        package=target.package,
        limits=Limits(timeout_s=settings.timeout_s, memory_mb=settings.memory_mb, output_mb=settings.output_mb),
        threads=threads or available_cores(),
        forks=settings.forks,
        device=target.device,
    )


def document_of(
    found: Measured, *, target: Target, hardware: Hardware, rules: Rules, baseline: str, command: str,
    package_digest: str | None, state: tuple[str | None, bool | None], started_at: str,
) -> BenchmarkDocument:  # fmt: skip
    """Build the document of a run."""
    part = part_of(hardware.name, hardware.memory_bytes)
    commit, dirty = state
    finished_at = provenance.now()
    rows = with_speedups(found.rows, baseline)
    return BenchmarkDocument(
        schema_version=SCHEMA_VERSION,
        kind="benchmark",
        tool=Tool(name="astrobio-audit", version=__version__),
        origin=Origin(
            command=command,
            package=target.package,
            package_digest=package_digest,
            commit=commit,
            dirty=dirty,
            started_at=started_at,
            finished_at=finished_at,
            resumed_rows=found.resumed,
        ),
        hardware=hardware,
        peak=None
        if part is None
        else Peak(
            part=part.name,
            source=part.source,
            entered_on=part.entered_on,
            tflops=dict(part.tflops),
            bandwidth_gbytes_per_s=part.bandwidth_gbytes_per_s,
        ),
        method=Method(
            clock=_clock(hardware, rules),
            relative_error=rules.relative_error,
            seconds_per_row=rules.seconds,
            rounds=rules.rounds,
            warm_up=rules.warm_up,
            seed=rules.seed,
            baseline=baseline,
            formulas=FORMULAS,
        ),
        ceilings=tuple(found.ceilings.values()),
        rows=rows,
        warnings=tuple(warnings_of(rows, hardware)),
        partial=found.is_stopped,
        exit_code=exit_code_of(rows, None),
        benchmarks=benchmark_entries(rows),
        machine_info={
            "node": "",
            "machine": hardware.machine,
            "system": hardware.platform,
            "cpu": {"brand_raw": hardware.name},
        },
        commit_info={"id": commit, "dirty": dirty},
        datetime=finished_at,
        version=__version__,
    )


def warnings_of(rows: Sequence[Row], hardware: Hardware) -> Iterator[str]:
    """Yield what was seen beside the rows that makes their times larger than they need be."""
    timed = [row for row in rows if row.timing is not None]
    states = [clocks for row in timed for clocks in (row.clocks_before, row.clocks_after) if clocks]
    load, cores = max((clocks.load or 0 for clocks in states), default=0), hardware.cores or 1
    if load > cores:
        yield f"the machine was busy: up to {load:g} processes wanted to run on {cores} cores; times say little"
    reasons = sorted({reason for clocks in states for reason in clocks.throttle_reasons})
    if reasons:
        yield f"the device was slowed down while rows were timed: {', '.join(reasons)}"


def _clock(hardware: Hardware, rules: Rules) -> str:
    if hardware.kind == "cpu":
        return "time.perf_counter_ns around a call, on a CPU; nothing here says anything of a GPU"
    return (
        "two CUDA events around the replay of a graph"
        if rules.graph
        else "two CUDA events around what a call runs, launched while the device waits; of models around the whole call"
    )
