"""A report as text in each of the formats that programs read."""

from collections.abc import Callable, Mapping

from audit.options import Format
from audit.report.document import Report
from audit.report.streams import print_json
from audit.report.write import report_json


def print_rendered(report: Report, form: Format) -> None:
    """Write the report to standard output in a format other than text."""
    print_json(_RENDERERS[form](report))


_RENDERERS: Mapping[Format, Callable[[Report], str]] = {
    Format.JSON: report_json,
}
