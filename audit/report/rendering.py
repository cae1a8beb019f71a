"""A report as text in each of the formats that programs read."""

from collections.abc import Callable, Mapping

from audit.options import Format
from audit.report.document import Report
from audit.report.github import render_github
from audit.report.junit import render_junit
from audit.report.sarif import render_sarif
from audit.report.streams import print_json, print_text
from audit.report.write import report_json

_RENDERERS: Mapping[Format, Callable[[Report], str]] = {
    Format.JSON: report_json,
    Format.SARIF: render_sarif,
    Format.GITHUB: render_github,
    Format.JUNIT: render_junit,
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
