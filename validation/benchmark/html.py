"""A benchmark as one page that needs nothing else; everything in it comes from the document."""

from collections.abc import Iterable, Sequence

from audit.report.html.markup import NOTHING, Html, joined, tag, text
from audit.report.html.page import Section, page
from audit.report.html.plots import Axes, Line, line_plot
from audit.report.html.rows import copied
from audit.report.html.sections import scrolled
from audit.report.text import one_line
from validation.benchmark.cases import AttentionCase
from validation.benchmark.document import BenchmarkDocument
from validation.benchmark.markdown import conclusion, time_text
from validation.benchmark.plots import Value, memory, panels_of, speed
from validation.benchmark.rows import Row, RowOutcome

_STATES = {0: "good", 1: "bad", 3: "open"}
_MIB = 2**20
_MOST_PANELS = 60


def render_page(document: BenchmarkDocument, *, script: str = "") -> str:
    """Return the document as one page; `script` is as for `page`."""
    sections = [
        Section("speed", "Speed against length", _plots(document, "TFLOP/s", speed)),
        Section("memory", "Memory against length", _plots(document, "peak memory of a call, MiB", memory)),
        Section("times", "Times", _times(document)),
        Section("without", "Without a time", _without(document)),
        Section("compared", "Compared with an earlier run", _compared(document)),
        Section("provenance", "Provenance", _provenance(document)),
    ]
    return page(
        one_line(f"Benchmark of {document.origin.package} on {document.hardware.where}"),
        _header(document),
        [each for each in sections if each.content],
        script=script,
    )


def _header(document: BenchmarkDocument) -> Html:
    state = {0: "Complete", 1: "Wrong, or slower than before", 3: "Incomplete"}[document.exit_code]
    return joined(
        (
            tag("h1", text(state), class_=f"verdict {_STATES[document.exit_code]}"),
            tag("p", text("Benchmark of "), tag("bdi", text(document.origin.package)),
                text(f" on {document.hardware.where}, {document.origin.finished_at}"), class_="of"),
            tag("p", text(conclusion(document).replace("**", ""))),
            *(tag("p", text(each), class_="why") for each in document.warnings),
        )
    )  # fmt: skip


def _plots(document: BenchmarkDocument, label: str, value: Value) -> Html:
    """Return a figure for each set of sizes of which several lengths were timed."""
    panels = panels_of(document)
    figures = []
    for title, by_backend in list(panels.items())[:_MOST_PANELS]:
        lines = [Line(backend, _points(rows, value)) for backend, rows in by_backend.items()]
        lines = [each for each in lines if each.points]
        if lines:
            axes = Axes(x="length in tokens", y=label, doubling=True, from_zero=True)
            figures.append(line_plot(title, lines, axes))
    more = len(panels) - _MOST_PANELS
    note = tag("p", text(f"{more} further sets of sizes are in the JSON."), class_="note") if more > 0 else NOTHING
    return joined((tag("div", *figures, class_="figures-of-curves"), note)) if figures else NOTHING


def _points(rows: Iterable[Row], value: Value) -> tuple[tuple[float, float], ...]:
    found = ((row.case.length, value(row)) for row in rows if isinstance(row.case, AttentionCase))
    return tuple(sorted((float(length), each) for length, each in found if each is not None))


def _table(name: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0) -> Html:
    """Return a table; of each row all but the first `numbers` cells are numbers, or none where that is 0."""
    body = (
        tag("tr", *(tag("td", text(cell), class_="number" if numbers and place >= numbers else None)
                    for place, cell in enumerate(row)))
        for row in rows
    )  # fmt: skip
    titles = (tag("th", text(each), scope="col") for each in head)
    return scrolled(tag("table", tag("thead", tag("tr", *titles)), tag("tbody", *body)), name)


def _times(document: BenchmarkDocument) -> Html:
    rows = [row for row in document.rows if row.timing is not None]
    if not rows:
        return NOTHING
    faster = f"x {document.method.baseline}"
    head = ("case", "backend", "median", "p20", "p80", "n", faster, "TFLOP/s", "GB/s", "roofline", "data sheet",
            "peak memory")  # fmt: skip
    note = "Of a call, with cold caches and inputs that change. A star: the median is not settled, as its note says."
    notes = [tag("li", text(f"{row.case.id} {row.backend.name}: {row.timing.note}")) for row in rows
             if row.timing and row.timing.note]  # fmt: skip
    listed = tag("details", tag("summary", text(f"Notes ({len(notes)})")), tag("ul", *notes)) if notes else NOTHING
    return joined((tag("p", text(note), class_="note"), _table("Times", head, map(_time, rows), numbers=2), listed))


def _time(row: Row) -> list[str]:
    timing, rates = row.timing, row.rates
    assert timing is not None
    peak = row.memory.peak_bytes if row.memory else None
    return [
        row.case.id,
        row.backend.name,
        time_text(timing.median_ns),
        "-" if timing.p20_ns is None else time_text(timing.p20_ns),
        "-" if timing.p80_ns is None else time_text(timing.p80_ns),
        f"{timing.n}" + ("" if timing.stop_rule_met else " *"),
        *(_number(each) for each in ((rates.times_faster_than_baseline, rates.tflops_per_s, rates.gbytes_per_s)
                                     if rates else (None,) * 3)),
        *(_share(each) for each in ((rates.of_roofline, rates.of_datasheet) if rates else (None,) * 2)),
        "-" if peak is None else f"{peak / _MIB:.1f} MiB",
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _without(document: BenchmarkDocument) -> Html:
    order = list(RowOutcome)
    rows = sorted((row for row in document.rows if row.timing is None), key=lambda each: order.index(each.outcome))
    cells = ([row.case.id, row.backend.name, row.outcome.value.replace("_", " "), row.reason or ""] for row in rows)
    return _table("Without a time", ("case", "backend", "how", "why"), cells) if rows else NOTHING


def _compared(document: BenchmarkDocument) -> Html:
    found = document.compared
    if found is None:
        return NOTHING
    called = [each for each in found.verdicts if each.call != "no call"]
    head = (
        f"With {found.source}. A call needs a 95 % interval without zero and a change of more than "
        f"{found.practical_bound:.1%}. No call: {len(found.verdicts) - len(called)} of {len(found.verdicts)} rows."
    )
    cells = ([each.case, each.backend, each.call, each.reason] for each in called)
    table = _table("Calls", ("case", "backend", "call", "why"), cells) if called else NOTHING
    differences = (tag("li", text(each)) for each in found.differences)
    return joined((tag("p", text(head)), tag("ul", *differences) if found.differences else NOTHING, table))


def _provenance(document: BenchmarkDocument) -> Html:
    hardware, origin, method = document.hardware, document.origin, document.method
    dirty = {True: " with uncommitted changes", False: "", None: ", whether changed is unknown"}[origin.dirty]
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(hardware.libraries.items()) if version)
    ceilings = "; ".join(
        f"{each.dtype}: {each.flops_per_s / 1e12:.3g} TFLOP/s, {each.bytes_per_s / 1e9:.3g} GB/s"
        for each in document.ceilings
    )
    rows = {
        "device": hardware.where,
        "software": f"torch {hardware.torch}, CUDA {hardware.cuda or 'none'}, {libraries}",
        "system": f"{hardware.platform}, {hardware.machine}",
        "commit": f"{origin.commit or 'none'}{dirty}",
        "clock": method.clock,
        "samples": f"at most {method.seconds_per_row:g} s in {method.rounds} rounds a row, or until the median's "
        f"standard error is {method.relative_error:.2%}; seed {method.seed}",
        "measured ceilings": ceilings or "-",
        "data sheet": document.peak.source if document.peak else "unknown for this device",
        **{name.replace("_", " "): formula for name, formula in sorted(method.formulas.items())},
    }
    pairs = (tag("div", tag("dt", text(key)), tag("dd", text(value))) for key, value in rows.items())
    return joined((tag("dl", *pairs, class_="facts"), copied(origin.command)))
