"""Mutants that a comment of the target excuses: whoever reads a score of mutation should see what it leaves out."""

from audit.report.document import Report
from audit.results import Outcome, Result

EXCUSED = "a comment of the line says that it is no mistake: "


def excused(report: Report) -> list[Result]:
    """Return the mutants that were not tried because a comment says that they are no mistake."""
    return [
        each
        for each in report.results
        if each.outcome is Outcome.NOT_APPLICABLE and (each.reason or "").startswith(EXCUSED)
    ]
