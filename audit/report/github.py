"""The report as workflow commands of GitHub Actions: each failure an annotation on its line; and a step's summary.

Escaping is that of `actions/toolkit`, packages/core/src/command.ts.
"""

from pathlib import Path

from audit.report.baselines import baseline_lines
from audit.report.document import Report
from audit.report.files import WriteError
from audit.report.listing import by_severity
from audit.report.places import message_of, path_in_repository
from audit.report.summary import render_summary
from audit.report.text import counted, one_line, plain
from audit.report.verdicts import verdict_lines, verdict_text
from audit.results import Location, Outcome, Result

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
_MOST_OF_A_NAME = 100
_NOTIFIED = {Outcome.ERROR: "error", Outcome.SKIPPED: "warning"}
_FIRST = (Outcome.FAILED, *_NOTIFIED)
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", "\u2028": "%0A", "\u2029": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})


def render_github(report: Report) -> str:
    """Return one command a line, then a line with the counts. What is set apart is counted and not annotated.

    Failures come first, the most severe before others: GitHub shows few of a step.
    """
    shown = by_severity([result for result in report.results if _is_shown(result)])
    lines = [_command(report, result) for result in sorted(shown, key=lambda each: _FIRST.index(each.outcome))]
    lines += [
        _line("notice", {"title": report.tool.name}, line) for line in (*baseline_lines(report), *verdict_lines(report))
    ]
    if report.partial:
        lines.append(_line("notice", {"title": report.tool.name}, f"partial run, no verdict: {report.partial_reason}"))
    return "\n".join([*lines, _summary(report)]) + "\n"


def add_to_step_summary(report: Report, path: Path) -> None:
    """Add the summary to the file that GitHub shows of the step; other steps of the job may have written to it.

    Raises:
        WriteError: the file does not take it.
    """
    try:
        with path.open("a", encoding="utf-8") as opened:
            opened.write(f"{render_summary(report)}\n")
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
        raise WriteError(f"{STEP_SUMMARY} {path}: could not be written: {error}") from error


def _is_shown(result: Result) -> bool:
    return result.outcome in _NOTIFIED or (result.outcome is Outcome.FAILED and not result.set_apart)


def _command(report: Report, result: Result) -> str:
    counts = result.severity.gates_release and not result.waived
    level = _NOTIFIED.get(result.outcome) or ("error" if counts else "warning")
    properties = _place(report, result.location) if result.location else {}
    title = result.check if result.outcome is Outcome.FAILED else f"{result.check} ({result.outcome.value})"
    place = result.location.path if result.location else None
    # A finding in the source has its place; what was run may share a place with others.
    if not result.fingerprint and result.subject.name != place:
        title += f" on {one_line(result.subject.name, limit=_MOST_OF_A_NAME)}"
    return _line(level, {**properties, "title": title}, message_of(result))


def _place(report: Report, place: Location) -> dict[str, str | int]:
    found: dict[str, str | int] = {"file": path_in_repository(report, place.path)}
    if place.line is None:
        return found
    found["line"] = place.line
    end = place.end_line or place.line
    if end > place.line:  # columns are for annotations of one line
        found["endLine"] = end
        return found
    if place.column is not None:
        found["col"] = place.column
        if place.end_column is not None and place.end_column > place.column:
            found["endColumn"] = place.end_column
    return found


def _line(level: str, properties: dict[str, str | int], message: str) -> str:
    listed = ",".join(f"{name}={plain(str(value)).translate(_PROPERTY)}" for name, value in properties.items())
    return f"::{level} {listed}::{plain(message).translate(_DATA)}"


def _summary(report: Report) -> str:
    """Return the counts, without a word of the target's: in a line that is no command, the old `##[...]` still is."""
    failed = [result for result in report.results if result.outcome is Outcome.FAILED]
    apart = sum(bool(result.set_apart) for result in failed)
    aside = f" ({apart} set apart)" if apart else ""
    verdict = f", verdict {verdict_text(report)}" if report.verdict else ""
    found = f"{counted(len(failed), 'failure')}{aside} in {counted(len(report.checks), 'check')}"
    return f"{report.tool.name}: {found}{verdict}"
