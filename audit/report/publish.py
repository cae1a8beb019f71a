"""Copies a finished report to where it is published, when it can stand there."""

from pathlib import Path

from pydantic import ValidationError

from audit.errors import UsageError
from audit.report.badge import render_badge
from audit.report.document import Report
from audit.report.files import prepare_folder, write_atomically
from audit.report.places_refused import refusal
from audit.report.write import write_files

_MAX_BYTES = 512 * 1024 * 1024  # 6,600 files of four large packages give 21 MB
_NAME = "readiness.json"


def publish_report(source: Path, destination: Path) -> list[Path]:
    """Validate the report in `source`, write it to `destination`, and return the paths: JSON, Markdown and a badge.

    No page: it is made again of the JSON at any time, and a history of changes would keep the megabytes of each.

    Raises:
        UsageError: there is no valid report, or it is partial, of one area only, or made from uncommitted changes.
    """
    path = source / _NAME
    report = read_report(path)
    if report.partial:
        raise UsageError(f"{path}: a partial report ({report.partial_reason}) is not published; run the whole audit")
    if report.command != "readiness" or not report.release:
        raise UsageError(
            f"{path}: not a readiness report with a release verdict (command {report.command!r}); "
            "run `astrobio-audit readiness`"
        )
    if report.provenance.commit is None:
        raise UsageError(f"{path}: names no commit; publish from a git checkout")
    if report.provenance.dirty is None:
        raise UsageError(
            f"{path}: whether it was made from uncommitted changes cannot be told: git filters, or files marked as "
            "unchanged, hide it; publish from a plain checkout"
        )
    if report.provenance.dirty:
        raise UsageError(f"{path}: was made from uncommitted changes; commit, then run the audit again")
    prepare_folder(destination, option="--to")
    write_files(report, destination, with_page=False)
    badge = destination / "readiness.svg"
    write_atomically(badge, render_badge(report))
    return [destination / _NAME, destination / "readiness.md", badge]


def read_report(path: Path) -> Report:
    """Read and validate a report.

    Raises:
        UsageError: it cannot be read, or is not a report whose summary follows from its results.
    """
    try:
        with path.open("rb") as opened:  # perhaps a pipe; a device can have no end
            content = opened.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise UsageError(f"{path}: larger than {_MAX_BYTES} bytes; this is no report")
        report = Report.model_validate_json(content)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror}; name a report that a command wrote as JSON"
        ) from error
    except ValidationError as error:
        errors = error.errors()
        if any((each["loc"], each["input"]) == (("kind",), "benchmark") for each in errors):
            raise UsageError(f"{path}: is a benchmark; `astrobio-audit bench --from` makes its views") from error
        first = errors[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise UsageError(f"{path}: not a valid report: {where}: {first['msg']}") from error
    if said := refusal(report):
        raise UsageError(f"{path}: not a valid report: {said}")
    return report
