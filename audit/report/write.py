"""A report as files."""

from pathlib import Path

from audit.report.document import Report
from audit.report.files import write_atomically
from audit.report.markdown import render_markdown


def report_json(report: Report) -> str:
    """Return the document as JSON text."""
    return report.model_dump_json(indent=2) + "\n"


def write_files(report: Report, folder: Path) -> None:
    """Write `<command>.json` and `<command>.md` into `folder`, each whole or not at all."""
    write_atomically(folder / f"{report.command}.json", report_json(report))
    write_atomically(folder / f"{report.command}.md", render_markdown(report))
