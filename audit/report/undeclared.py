"""What was not judged because nothing declares what it needs: the coverage does not count it."""

from audit.report.document import Report
from audit.report.text import one_line
from audit.results import Outcome

UNDECLARED = "undeclared: "
_CALL = "how "  # begins the reasons of what could not be called at all
_MAX_REASON = 120


def undeclared_line(report: Report) -> str | None:
    """Return one line of the checks that judged nothing of some subjects, with their number; None without any.

    Those that could not make their call come first, and with the reason of the first subject: a mistake may be in
    what was never called, while the others measured something and left open what it means.
    """
    subjects: dict[str, set[tuple[str, str]]] = {}
    reasons: dict[str, str] = {}
    for result in report.results:
        reason = (result.reason or "").removeprefix(UNDECLARED)
        if result.outcome is not Outcome.NOT_APPLICABLE or reason == result.reason:
            continue
        subjects.setdefault(result.check, set()).add((result.subject.path or "", result.subject.name))
        if reason.startswith(_CALL):
            reasons.setdefault(result.check, one_line(reason, _MAX_REASON))
    if not subjects:
        return None
    parts = []
    for check in sorted(subjects, key=lambda each: (each not in reasons, each)):
        count = len(subjects[check])
        why = f": {reasons[check]}" if check in reasons else ""
        parts.append(f"{check} ({count} subject{'' if count == 1 else 's'}{why})")
    return f"not judged, as undeclared: {', '.join(parts)}"
