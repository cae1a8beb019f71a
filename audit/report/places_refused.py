"""What a report that was read may not say of places and times, whoever wrote it: formats for CI hand them on."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from audit.provenance import is_time
from audit.report.document import Report


def refusal(report: Report) -> str | None:
    """Return the first place outside of the target, line before the first, or time that is none; None without one."""
    for name in ("started_at", "finished_at"):
        if not is_time(getattr(report.provenance, name)):
            return f"provenance.{name}: is no time such as 2026-01-31T12:00:00Z"
    for where, path, line in _places(report):
        if path and (PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts):
            return f"{where}: the path leads out of the target"
        if line is not None and line < 1:
            return f"{where}: lines are counted from 1"
    return None


def _places(report: Report) -> Iterator[tuple[str, str | None, int | None]]:
    """Yield every place that the report names, and where in it."""
    for number, result in enumerate(report.results):
        yield f"results.{number}.subject", result.subject.path, result.subject.line
        if result.location:
            yield f"results.{number}.location", result.location.path, result.location.line
    for number, defect in enumerate(report.defects):
        yield f"defects.{number}.subject", defect.subject.path, defect.subject.line
        if defect.location:
            yield f"defects.{number}.location", defect.location.path, defect.location.line
    for number, item in enumerate(report.inventory):
        yield f"inventory.{number}", item.path, item.line
    for number, tree in enumerate(report.skipped_trees):
        yield f"skipped_trees.{number}", tree.path, None
