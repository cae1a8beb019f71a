"""The report as a summary table and a list of what needs attention."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from audit.report.baselines import baseline_lines
from audit.report.curves import curve_lines
from audit.report.defects import counted_defects, print_defects
from audit.report.document import Report
from audit.report.earlier import earlier_lines
from audit.report.excused import EXCUSED, excused
from audit.report.guesses import guess_lines
from audit.report.listing import Listed, by_severity, folded, shortened_to
from audit.report.text import counted, number, one_line, percent, plain, unheeded
from audit.report.undeclared import undeclared_line
from audit.report.verdicts import verdict_lines, verdict_text
from audit.results import Evidence, Outcome, Result
from audit.score import Verdict

_STYLES = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.ERROR: "magenta",
    Outcome.SKIPPED: "yellow",
    Outcome.NOT_APPLICABLE: "dim",
}
_NEEDING_ATTENTION = (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED)
_LISTING = (*_NEEDING_ATTENTION, Outcome.NOT_APPLICABLE, Outcome.PASSED)
_MAX_LISTED = 40
_MAX_SHOWN_WHOLE = 12
_MAX_ONE_BY_ONE = 5  # more for one reason are one line
_INDENT = " " * 9


def print_report(report: Report, console: Console) -> None:
    """Print the areas, then every failure, error and skip with its reason, then the verdict.

    A partial run says so in its first line; one that was asked for a few results shows them all with their evidence.
    """
    if report.partial:
        console.print(_verdict_line(report), soft_wrap=True)
        _print_beside_verdict(report, console)
    for line in (*baseline_lines(report), *earlier_lines(report)):
        console.print(Text(one_line(line, limit=None), style="yellow"), soft_wrap=True)
    print_defects(report, console)
    console.print(_table(report))
    asked_for = report.partial and not report.interrupted and len(report.results) <= _MAX_SHOWN_WHOLE
    if not asked_for and (undeclared := undeclared_line(report)):
        console.print(Text(undeclared, style="yellow"), soft_wrap=True)
    for line in (*(() if asked_for else guess_lines(report)), *curve_lines(report)):
        console.print(Text(line), soft_wrap=True)
    outcomes = _LISTING if asked_for else _NEEDING_ATTENTION
    # What comes from a defect is told there, unless few results were asked for.
    counting = [r for r in report.results if not r.set_apart and (asked_for or r.defect is None)]
    wanted = [each for outcome in outcomes for each in by_severity(counting) if each.outcome is outcome]
    together = _together(wanted)
    one_by_one = [each for each in wanted if _why_unjudged(each) not in together]
    listed = [Listed(each) for each in one_by_one] if asked_for else folded(one_by_one)
    shown = shortened_to(_MAX_LISTED, listed)
    for each in shown:
        _print_result(each.result, console)
        if each.repeats:
            _print_below(each.of_repeats, console)
    for (outcome, reason, area), results in together.items():
        heading = Text(f"{outcome.value:8} {len(results)} checks of {area}", style=_STYLES[outcome])
        if len({result.subject.name for result in results}) == 1:
            _append_subject(heading.append(" "), results[0])
        console.print(heading, soft_wrap=True)
        _print_below(reason, console)
    if len(listed) > len(shown):
        console.print(f"... and {len(listed) - len(shown)} more in the report")
    if not asked_for:
        _print_excused(excused(report), console)
    if report.partial and (defects := counted_defects(report)):
        console.print(Text(defects, style="bold red"), soft_wrap=True)
    if not report.partial:
        console.print(_verdict_line(report), soft_wrap=True)
        _print_beside_verdict(report, console)


def _print_beside_verdict(report: Report, console: Console) -> None:
    for line in verdict_lines(report):
        console.print(Text(f"  {one_line(line, limit=None)}", style="yellow"), soft_wrap=True)


def _print_excused(mutants: Sequence[Result], console: Console) -> None:
    """Print the mutants that were left out at the target's word, in few lines and with the words."""
    if not mutants:
        return
    console.print(Text(f"not tried, as excused by a comment: {counted(len(mutants), 'mutant')}"), soft_wrap=True)
    for result in mutants[:_MAX_LISTED]:
        line = Text("  ")
        _append_subject(line, result)
        line.append(f": {one_line((result.reason or '').removeprefix(EXCUSED))}", style="dim")
        console.print(line, soft_wrap=True)
    if len(mutants) > _MAX_LISTED:
        console.print(f"  ... and {len(mutants) - _MAX_LISTED} more in the report")


_Why = tuple[Outcome, str, str]


def _why_unjudged(result: Result) -> _Why | None:
    if result.outcome not in (Outcome.SKIPPED, Outcome.ERROR) or result.waived:
        return None
    return (result.outcome, result.reason or "", result.check.partition(".")[0])


def _together(results: Iterable[Result]) -> dict[_Why, list[Result]]:
    """Return the reasons for which many checks of one area came to no conclusion, with their results."""
    found: dict[_Why, list[Result]] = {}
    for result in results:
        if why := _why_unjudged(result):
            found.setdefault(why, []).append(result)
    return {why: each for why, each in found.items() if len(each) > _MAX_ONE_BY_ONE}


def _table(report: Report) -> Table:
    # A `Text`, because rich obeys the markup in a string.
    title = Text(one_line(f"{report.command}: {report.provenance.package}"), style="table.title")
    table = Table(title=title, title_justify="left")
    table.add_column("area")
    for outcome in Outcome:
        name = "n/a" if outcome is Outcome.NOT_APPLICABLE else outcome.value
        table.add_column(name, justify="right", style=_STYLES[outcome])
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
    _append_subject(line, result)
    console.print(line, soft_wrap=True)
    if result.reason:  # which a passed result has not
        _print_below(result.reason, console)
    if result.waived:
        _print_below(result.waived, console, style="yellow")
    if result.evidence.measured is not None and result.evidence.bound is not None:
        _print_below(_measured(result.evidence), console, style="dim")
    if result.fix:
        _print_below(f"fix: {result.fix}", console)


def _append_subject(line: Text, result: Result) -> None:
    line.append(one_line(result.subject.name), style="bold")
    if result.location:
        line.append(f"  {one_line(result.location.path)}:{result.location.line or 1}", style="cyan")


def _print_below(text: str, console: Console, *, style: str = "") -> None:
    """Print what belongs to a result, indented: no line of it begins where a verdict would."""
    if console.is_terminal:  # where a line that is too long goes on at the margin, so it is broken here
        console.print(Padding(Text(plain(text), style=style), (0, 0, 0, len(_INDENT))))
    else:
        lines = unheeded(plain(text)).replace("\n", f"\n{_INDENT}")
        console.print(Text(_INDENT + lines, style=style), soft_wrap=True)


def _measured(evidence: Evidence) -> str:
    measured = " ".join(filter(None, (number(evidence.measured), evidence.unit)))
    through = f", of a stand-in for {evidence.stand_in}" if evidence.stand_in else ""
    return (
        f"measured {measured}{through}, bound {evidence.comparison} {number(evidence.bound)} ({evidence.bound_origin})"
    )


def _verdict_line(report: Report) -> Text:
    if report.partial:
        reason = one_line(report.partial_reason or "", limit=None)
        return Text(f"partial run, no verdict: {reason}", style="bold yellow")
    good = report.verdict in (Verdict.READY, Verdict.READY_WITH_WAIVERS, Verdict.CLEAN)
    style = "bold green" if good else "bold yellow" if report.verdict is Verdict.INCOMPLETE else "bold red"
    parts = [f"verdict: {verdict_text(report)}", counted_defects(report), f"score {percent(report.score)}"]
    return Text("   ".join([*filter(None, parts), f"coverage {percent(report.coverage)}"]), style=style)
