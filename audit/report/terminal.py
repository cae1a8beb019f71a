"""The report as a summary table and a list of what needs attention."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.report.document import Report
from audit.report.text import number, one_line, percent, plain
from audit.results import Outcome, Result
from audit.score import Verdict

_STYLES = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.ERROR: "magenta",
    Outcome.SKIPPED: "yellow",
    Outcome.NOT_APPLICABLE: "dim",
}
_MAX_LISTED = 40


def print_report(report: Report, console: Console) -> None:
    """Print the areas, then every failure, error and skip with its reason, then the verdict.

    A partial run says so in its first line.
    """
    if report.partial:
        console.print(_verdict_line(report))
    console.print(_table(report))
    attention = [r for r in report.results if r.outcome in (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED)]
    attention.sort(key=lambda result: (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED).index(result.outcome))
    for result in attention[:_MAX_LISTED]:
        _print_result(result, console)
    if len(attention) > _MAX_LISTED:
        console.print(f"... and {len(attention) - _MAX_LISTED} more in the report")
    if not report.partial:
        console.print(_verdict_line(report))


def _table(report: Report) -> Table:
    table = Table(title=f"{report.command}: {one_line(report.provenance.package)}", title_justify="left")
    table.add_column("area")
    for outcome in Outcome:
        title = "n/a" if outcome is Outcome.NOT_APPLICABLE else outcome.value
        table.add_column(title, justify="right", style=_STYLES[outcome])
    table.add_column("score", justify="right")
    table.add_column("coverage", justify="right")
    for area in report.areas:
        counts = (area.passed, area.failed, area.error, area.skipped, area.not_applicable)
        table.add_row(area.name, *map(str, counts), percent(area.score), percent(area.coverage))
    return table


def _print_result(result: Result, console: Console) -> None:
    line = Text()
    line.append(f"{result.outcome.value:8}", style=_STYLES[result.outcome])
    line.append(f" {result.check} ")
    line.append(one_line(result.subject.name), style="bold")
    if result.location:
        line.append(f"  {one_line(result.location.path)}:{result.location.line or 1}", style="cyan")
    console.print(line, soft_wrap=True)
    reason = plain(result.reason or "")
    console.print(Text("         " + reason.replace("\n", "\n         ")), soft_wrap=True)
    evidence = result.evidence
    if evidence.measured is not None and evidence.bound is not None:
        measured = " ".join(filter(None, (number(evidence.measured), evidence.unit)))
        bound = f"bound {evidence.comparison} {number(evidence.bound)} ({evidence.bound_origin})"
        console.print(Text(f"         measured {measured}, {bound}", style="dim"), soft_wrap=True)
    if result.fix:
        console.print(Text(f"         fix: {plain(result.fix)}"), soft_wrap=True)


def _verdict_line(report: Report) -> Text:
    if report.partial:
        return Text(f"partial run, no verdict: {report.partial_reason}", style="bold yellow")
    good = report.verdict in (Verdict.READY, Verdict.CLEAN)
    style = "bold green" if good else "bold yellow" if report.verdict is Verdict.INCOMPLETE else "bold red"
    return Text(
        f"verdict: {report.verdict}   score {percent(report.score)}   coverage {percent(report.coverage)}", style=style
    )
