"""Findings in notebooks name their cell: nobody who looks at a notebook sees the lines of its file."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from audit.results import Outcome, Result
from audit.static.fingerprints import AREAS
from audit.static.notebooks import MAX_BYTES, SUFFIX, NotebookError, Places, places_in


def with_cells(results: Iterable[Result], root: Path) -> list[Result]:
    """Return the results with the cell, in location and reason, of each failed static check on code of a notebook."""
    known: dict[str, Places | None] = {}
    named = []
    for result in results:
        place = result.location
        is_static = result.outcome is Outcome.FAILED and result.check.partition(".")[0] in AREAS
        if place is not None and place.line and place.path.endswith(SUFFIX) and is_static:
            if place.path not in known:
                known[place.path] = _places(root / place.path)
            result = _with_cell(result, place.line, known[place.path])
        named.append(result)
    return named


def _with_cell(result: Result, line: int, places: Places | None) -> Result:
    assert result.location
    found = places.by_line.get(line) if places and (places.are_of_file or not _counts_lines_of_file(result)) else None
    if found is None:
        return result
    location = result.location.model_copy(update={"cell": found.cell, "cell_line": found.line})
    reason = result.reason or ""
    if f"({found})" not in reason:  # a syntax error names it already
        reason = f"{reason} ({found})"
    return result.model_copy(update={"location": location, "reason": reason})


def _counts_lines_of_file(result: Result) -> bool:
    """Return whether the check read the notebook as a text, and not the code of it."""
    from audit.static.rules.project_rule import ProjectRule  # all rules: read only where a notebook has a finding
    from audit.static.rules.registry import rules_by_id

    return isinstance(rules_by_id().get(result.check.rpartition(".")[2].upper()), ProjectRule)


def _places(path: Path) -> Places | None:
    """Return the places of a notebook; None where it cannot be read any more, or by this version of the tool."""
    with suppress(OSError, ValueError, NotebookError):  # ValueError: no UTF-8, or a NUL in the path
        if path.stat().st_size <= MAX_BYTES:
            return places_in(path.read_bytes().decode("utf-8-sig"))
    return None
