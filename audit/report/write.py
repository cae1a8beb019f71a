"""A report as files."""

import re
from pathlib import Path

from audit.errors import UsageError
from audit.report.defects import FOLDER
from audit.report.document import Report
from audit.report.files import WriteError, prepare_own_folder, write_atomically
from audit.report.html.report import render_html
from audit.report.markdown import render_markdown

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")


def report_json(report: Report) -> str:
    """Return the document as JSON text."""
    return "".join(report.json_parts())


def file_stem(report: Report) -> str:
    """Return the name of the report's files without their endings.

    A run that was asked for less does not replace a whole one, nor a part of a plan another part. One that was cut
    short does: whoever reads the file afterwards must not take an older report for its result.
    """
    if report.part:
        return f"{report.command}.{_NOT_IN_NAMES.sub('-', report.part.label)}"
    return f"{report.command}.partial" if report.partial and not report.interrupted else report.command


def write_files(report: Report, folder: Path, *, with_page: bool = True) -> None:
    """Write the report into `folder` as JSON, Markdown and HTML, and its reproducers, each whole or not at all.

    The HTML is left out without `with_page`.

    Raises:
        WriteError: the disk does not take one of them, or its name leads elsewhere; the JSON is written first.
    """
    stem = file_stem(report)
    write_atomically(inside(folder, f"{stem}.json"), report_json(report))
    write_atomically(inside(folder, f"{stem}.md"), render_markdown(report))
    if with_page:
        write_atomically(inside(folder, f"{stem}.html"), render_html(report))
    for defect in report.defects:
        if defect.reproducer:
            scripts = folder / FOLDER
            try:
                prepare_own_folder(scripts, root=folder)
            except UsageError as refused:  # the report itself is written; what was measured is printed all the same
                raise WriteError(str(refused)) from refused
            write_atomically(inside(scripts, defect.reproducer.file), defect.reproducer.script)


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file right inside a folder.

    Raises:
        WriteError: the name, which a plug-in or a report that was read gave, leads elsewhere.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise WriteError(f"{folder}: {name!r} is no name of a file; nothing is written under it")
    return folder / name
