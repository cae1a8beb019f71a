"""What was built and called where no specs say it: whoever reads a pass has to see of what."""

from audit.report.document import Report
from audit.report.text import one_line
from audit.results import Outcome

_CHECK = "smoke.guessed"  # the origin of its bound says how the model was built and fed
_MAX_LINES = 12


def guess_lines(report: Report) -> list[str]:
    """Return a line for each model that was built and fed without specs, and one for those that are left out here."""
    found = [each for each in report.results if each.check == _CHECK and each.outcome is Outcome.PASSED]
    lines = [
        one_line(f"without specs, {each.subject.name}: {each.evidence.bound_origin}", limit=None)
        for each in found[:_MAX_LINES]
    ]
    more = len(found) - len(lines)
    return [*lines, f"without specs, {more} more models: see {_CHECK} in the report"] if more else lines
