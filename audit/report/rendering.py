"""A report as text in each of the formats that programs read."""

from collections.abc import Callable, Mapping
from pathlib import Path

from audit.options import Format
from audit.report.badge import render_badge
from audit.report.document import Report
from audit.report.files import write_atomically
from audit.report.github import render_github
from audit.report.html.report import render_html
from audit.report.junit import render_junit
from audit.report.markdown import render_markdown
from audit.report.sarif import render_sarif
from audit.report.streams import print_json, print_text
from audit.report.summary import render_summary
from audit.report.write import report_json

_RENDERERS: Mapping[Format, Callable[[Report], str]] = {
    Format.JSON: report_json,
    Format.HTML: render_html,
    Format.MARKDOWN: render_markdown,
    Format.SUMMARY: render_summary,
    Format.SARIF: render_sarif,
    Format.GITHUB: render_github,
    Format.JUNIT: render_junit,
    Format.BADGE: render_badge,
}


def rendered(report: Report, form: Format) -> str:
    """Return the report in a format other than text."""
    return _RENDERERS[form](report)


def print_rendered(report: Report, form: Format) -> None:
    """Write the report to standard output in a format other than text."""
    if form is Format.JSON:
        for part in report.json_parts():
            print_json(part)
    elif form is Format.SARIF:
        print_json(rendered(report, form))
    else:
        print_text(rendered(report, form))


def write_rendered(report: Report, form: Format, path: Path) -> None:
    """Write the report to a file in a format other than text, whole or not at all.

    Raises:
        WriteError: the disk does not take it; what stood there is unchanged.
    """
    write_atomically(path, rendered(report, form))
