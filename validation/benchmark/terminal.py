"""A benchmark on the terminal: progress while it runs, a table at the end."""

from itertools import groupby
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from audit.report.text import one_line
from validation.benchmark.document import BenchmarkDocument
from validation.benchmark.markdown import time_text
from validation.benchmark.rows import Rates, Row, RowOutcome

_WIDTH = 70


class BenchProgress:
    """A bar on a terminal; where there is none, one line for each finished row."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        """Prepare for so many rows."""
        self._console = Console(stderr=True, quiet=quiet)
        self._progress = Progress(
            TextColumn("bench"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("bench", total=total, now="")

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._console.is_interactive:
            self._progress.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Remove the bar."""
        if self._console.is_interactive:
            self._progress.stop()

    def notify(self, now: str, row: Row | None) -> None:
        """Show what is at work, or a row that is finished."""
        self._progress.update(self._task, advance=0 if row is None else 1, now=one_line(now, _WIDTH))
        if row is not None and not self._console.is_interactive:
            self.say(f"{row.case.id} {row.backend.name}: {told(row)}")

    def skip(self, number: int) -> None:
        """Count rows that an earlier run has measured."""
        self._progress.update(self._task, advance=number)

    def say(self, text: str) -> None:
        """Print a line beside the bar."""
        self._console.print(Text(one_line(text)), soft_wrap=True)


def told(row: Row) -> str:
    """Return how a row ended, in a few words."""
    if row.timing is not None:
        return f"{time_text(row.timing.median_ns)}, n {row.timing.n}"
    return f"{row.outcome.value.replace('_', ' ')}: {row.reason}"


def print_document(document: BenchmarkDocument, console: Console) -> None:
    """Print rows with times as a table, then those without, then what the comparison calls."""
    hardware = document.hardware
    note = " (a CPU: nothing here says anything of a GPU)" if hardware.kind == "cpu" else ""
    console.print(Text(one_line(f"bench on {hardware.where}, torch {hardware.torch}{note}")), soft_wrap=True)
    for warning in document.warnings:
        console.print(Text(one_line(f"warning: {warning}")), soft_wrap=True)
    for each in document.ceilings:
        ceiling = f"{each.flops_per_s / 1e12:.3g} TFLOP/s, {each.bytes_per_s / 1e9:.3g} GB/s"
        console.print(Text(f"measured ceilings, {each.dtype}: {ceiling}"), soft_wrap=True)
    _print_times([row for row in document.rows if row.timing is not None], document, console)
    if any(row.rates and row.rates.times_faster_than_baseline for row in document.rows):
        baseline = one_line(document.method.baseline, 20)
        console.print(Text(f"x {baseline}: the median of the ratios in each round, not the ratio of the medians"))
    if any(row.timing and not row.timing.stop_rule_met for row in document.rows):
        console.print(Text(f"*: the median's standard error is above {document.method.relative_error:.2%}"))
    _print_untimed([row for row in document.rows if row.timing is None], console)
    if document.compared:
        _print_comparison(document, console)
    counts = {outcome: sum(row.outcome is outcome for row in document.rows) for outcome in RowOutcome}
    listed = ", ".join(f"{number} {outcome.value.replace('_', ' ')}" for outcome, number in counts.items() if number)
    console.print(Text(f"{len(document.rows)} rows: {listed}{' (stopped)' if document.partial else ''}"))


def _print_times(rows: list[Row], document: BenchmarkDocument, console: Console) -> None:
    """Print a table for each case; columns stand below one another in all of them."""
    head = ["", "median", "n", f"x {one_line(document.method.baseline, 20)}", "TFLOP/s", "GB/s", "roofline", "memory"]
    table = [head, *map(_cells, rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(head))]

    def line(cells: list[str]) -> Text:
        first, *others = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return Text("  ".join([first, *others]))

    for case_id, of_case in groupby(rows, key=lambda row: row.case.id):
        console.print(Text(one_line(case_id)), soft_wrap=True)
        for cells in (head, *map(_cells, of_case)):
            console.print(line(cells), soft_wrap=True)


def _print_untimed(rows: list[Row], console: Console) -> None:
    """Print why rows have no time: what is the same for several cases once."""
    alike: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        # What was skipped was so whatever the backend.
        name = "every backend" if row.outcome is RowOutcome.SKIPPED else row.backend.name
        alike.setdefault((name, told(row)), []).append(row)
    for (backend, why), of_backend in alike.items():
        first = of_backend[0].case.id
        cases = len({row.case.id for row in of_backend})
        where = first if cases == 1 else f"{cases} cases, {first} and others"
        console.print(Text(one_line(f"{backend}: {why} ({where})", 400)), soft_wrap=True)


def _cells(row: Row) -> list[str]:
    timing, rates = row.timing, row.rates or Rates()
    assert timing is not None
    peak = row.memory.peak_bytes if row.memory else None

    def of(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    return [
        f"  {one_line(row.backend.name, 40)}",
        time_text(timing.median_ns),
        f"{timing.n}{'' if timing.stop_rule_met else '*'}",
        of(rates.times_faster_than_baseline, ".2f"),
        of(rates.tflops_per_s, ".3g"),
        of(rates.gbytes_per_s, ".3g"),
        of(rates.of_roofline, ".1%"),
        "-" if peak is None else f"{peak / 2**20:.1f} MiB",
    ]


def _print_comparison(document: BenchmarkDocument, console: Console) -> None:
    found = document.compared
    assert found is not None
    console.print(Text(one_line(f"compared with {found.source}")), soft_wrap=True)
    for difference in found.differences:
        console.print(Text(one_line(f"  different: {difference}")), soft_wrap=True)
    for each in found.verdicts:
        if each.call != "no call":
            console.print(Text(one_line(f"  {each.call}: {each.case} {each.backend}: {each.reason}")), soft_wrap=True)
    number = sum(each.call == "no call" for each in found.verdicts)
    console.print(Text(f"  no call: {number} of {len(found.verdicts)} rows"))
