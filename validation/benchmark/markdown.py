"""A benchmark for reading, in Markdown; everything in it comes from the document."""

from collections.abc import Iterator, Sequence

from audit.report.text import cell_code, code, markdown
from validation.benchmark.document import BenchmarkDocument
from validation.benchmark.rows import Row, RowOutcome

_MIB = 2**20
_HEAD = (
    "| case | backend | median | p20 - p80 | n | x {baseline} | TFLOP/s | GB/s | roofline | data sheet | peak memory |",
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
)


def render(document: BenchmarkDocument) -> str:
    """Return the document as Markdown text."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: BenchmarkDocument) -> Iterator[str]:
    hardware, method, origin = document.hardware, document.method, document.origin
    yield f"# Benchmark of {markdown(origin.package)} on {markdown(hardware.where)}"
    yield ""
    yield f"{conclusion(document)}"
    yield ""
    for warning in document.warnings:
        yield from (f"**{markdown(warning)}**", "")
    yield from _setting(document)
    measured = [row for row in document.rows if row.timing is not None]
    if measured:
        yield from ("", "## Times", "")
        yield (
            f"Time of a call with cold caches and inputs that change from call to call. x {markdown(method.baseline)}: "
            "times faster than it, median over the rounds. Roofline and data sheet: share of what was measured here to "
            "be possible, and of the vendor's dense peak; a dash is unknown."
        )
        yield ""
        yield from (_HEAD[0].format(baseline=markdown(method.baseline)), _HEAD[1])
        yield from map(_row, measured)
    noted = [row for row in measured if row.timing and row.timing.note]
    if noted:
        yield from ("", "## Notes", "")
        yield from (f"- {_name(row)}: {markdown(row.timing.note or '')}" for row in noted if row.timing)
    without = [row for row in document.rows if row.timing is None]
    if without:
        yield from ("", "## Without a time", "", "| case | backend | how | why |", "|---|---|---|---|")
        yield from (_why(row) for row in without)
    if document.compared:
        yield from _comparison(document)
    yield from ("", "## Formulas", "")
    yield from (f"- {name.replace('_', ' ')}: {markdown(text)}" for name, text in method.formulas.items())


def conclusion(document: BenchmarkDocument) -> str:
    """Return in a sentence how the benchmark ended, with the state in bold where it is not good."""
    counts = {outcome: sum(row.outcome is outcome for row in document.rows) for outcome in RowOutcome}
    told = ", ".join(f"{number} {outcome.value.replace('_', ' ')}" for outcome, number in counts.items() if number)
    state = {0: "Complete", 1: "**Wrong, or slower than before**", 3: "**Incomplete**"}[document.exit_code]
    stopped = " The run was stopped before its end." if document.partial else ""
    return f"{state}: {len(document.rows)} rows, {told}.{stopped}"


def _setting(document: BenchmarkDocument) -> Iterator[str]:
    hardware, method, origin = document.hardware, document.method, document.origin
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(hardware.libraries.items()) if version)
    memory = "unknown" if hardware.memory_bytes is None else f"{hardware.memory_bytes / 2**30:.1f} GiB"
    cache = "unknown" if hardware.cache_bytes is None else f"{hardware.cache_bytes / _MIB:.0f} MiB"
    dirty = {True: " with uncommitted changes", False: "", None: ", whether changed is unknown"}[origin.dirty]
    yield f"- device: {markdown(hardware.where)}, {memory}, last cache {cache}, {markdown(hardware.capability or '-')}"
    cuda = markdown(hardware.cuda or "none")
    yield f"- software: torch {markdown(hardware.torch)}, CUDA {cuda}, {markdown(libraries)}"
    yield f"- system: {markdown(hardware.platform)}, {markdown(hardware.machine)}"
    yield f"- commit: {markdown(origin.commit or 'none')}{dirty}; {origin.finished_at}; {code(origin.command)}"
    yield (
        f"- clock: {markdown(method.clock)}; at most {method.seconds_per_row:g} s in {method.rounds} rounds a row, or "
        f"until the median's standard error is {method.relative_error:.2%}; seed {method.seed}"
    )
    for each in document.ceilings:
        yield (
            f"- measured ceilings, {each.dtype}: {each.flops_per_s / 1e12:.3g} TFLOP/s in products of matrices, "
            f"{each.bytes_per_s / 1e9:.3g} GB/s in copies"
        )
    peak = document.peak
    yield (
        "- data sheet: unknown for this device"
        if peak is None
        else f"- data sheet: {markdown(peak.source)}, entered {peak.entered_on}; dense TFLOP/s "
        + ", ".join(f"{dtype} {rate:g}" for dtype, rate in sorted(peak.tflops.items()))
        + f"; {peak.bandwidth_gbytes_per_s:g} GB/s"
    )
    yield from _throttled(document.rows)
    if origin.resumed_rows:
        yield f"- {origin.resumed_rows} rows were measured by an earlier run of this plan, which was cut short"


def _throttled(rows: Sequence[Row]) -> Iterator[str]:
    states = [clocks for row in rows for clocks in (row.clocks_before, row.clocks_after) if clocks]
    reasons = sorted({reason for clocks in states for reason in clocks.throttle_reasons})
    rates = sorted({clocks.sm_mhz for clocks in states if clocks.sm_mhz is not None})
    loads = sorted({clocks.load for clocks in states if clocks.load is not None})
    unknown = sorted({clocks.unknown for clocks in states if clocks.unknown})
    if rates:
        said = ", ".join(reasons) or "none"
        yield f"- clocks before and after rows: {rates[0]} to {rates[-1]} MHz; throttle reasons: {markdown(said)}"
    if loads:
        yield f"- load before and after rows: {loads[0]:g} to {loads[-1]:g} processes"
    yield from (f"- clocks: {markdown(why)}" for why in unknown)


def _name(row: Row) -> str:
    return f"{cell_code(row.case.id)} {cell_code(row.backend.name)}"


def _row(row: Row) -> str:
    timing, rates = row.timing, row.rates
    assert timing is not None
    peak = row.memory.peak_bytes if row.memory else None
    cells = [
        cell_code(row.case.id),
        cell_code(row.backend.name),
        time_text(timing.median_ns),
        _between(timing.p20_ns, timing.p80_ns),
        f"{timing.n}" + ("" if timing.stop_rule_met else " \\*"),
        _number(rates.times_faster_than_baseline if rates else None),
        _number(rates.tflops_per_s if rates else None),
        _number(rates.gbytes_per_s if rates else None),
        _percent(rates.of_roofline if rates else None),
        _percent(rates.of_datasheet if rates else None),
        "-" if peak is None else f"{peak / _MIB:.1f} MiB",
    ]
    return f"| {' | '.join(cells)} |"


def _why(row: Row) -> str:
    outcome = row.outcome.value.replace("_", " ")
    return (
        f"| {cell_code(row.case.id)} | {cell_code(row.backend.name)} | {outcome} | {markdown(row.reason or '', 500)} |"
    )


def _comparison(document: BenchmarkDocument) -> Iterator[str]:
    found = document.compared
    assert found is not None
    yield from ("", f"## Compared with {markdown(found.source)}", "")
    yield f"A call needs a 95 % interval without zero and a change of more than {found.practical_bound:.1%}."
    yield ""
    yield from (f"- different: {markdown(each)}" for each in found.differences)
    calls = [each for each in found.verdicts if each.call != "no call"]
    yield f"- no call: {len(found.verdicts) - len(calls)} of {len(found.verdicts)} rows"
    if calls:
        yield from ("", "| case | backend | call | why |", "|---|---|---|---|")
        for each in calls:
            yield f"| {cell_code(each.case)} | {cell_code(each.backend)} | {each.call} | {markdown(each.reason)} |"


def _between(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{time_text(low)} - {time_text(high)}"


def time_text(nanoseconds: float) -> str:
    """Return a time with a unit that suits it."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= 0.9995 * size:  # what three digits round up to the next unit
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
