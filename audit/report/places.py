"""What the formats for other programs share: which results they list, and where."""

import hashlib
from collections import Counter
from collections.abc import Iterator

from audit.report.document import Report
from audit.results import Outcome, Result


def path_in_repository(report: Report, path: str) -> str:
    """Return a path of the report as seen from the top of the target's repository, where CI looks for it."""
    prefix = report.provenance.prefix
    return f"{prefix}/{path}" if prefix else path


def numbered_failures(report: Report) -> Iterator[tuple[Result, int]]:
    """Yield every failure with its number among those of the same fingerprint, from 1."""
    seen: Counter[str] = Counter()
    for result in report.results:
        if result.outcome is Outcome.FAILED:
            fingerprint = fingerprint_of(result)
            seen[fingerprint] += 1
            yield result, seen[fingerprint]


def fingerprint_of(result: Result) -> str:
    """Return what two runs have in common for one failure, wherever its lines have moved and whatever was measured.

    A static check's is that of the result. Another's check has one subject, which stands for the place in the source.
    """
    if result.fingerprint:
        return result.fingerprint
    subject = result.subject
    parts = (result.check, subject.kind.value, subject.name, subject.path or "")
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def message_of(result: Result) -> str:
    """Return what a failure, error or skip says: who waived it, its reason and how to mend it."""
    waived = f"{result.waived}\n" if result.waived else ""
    fix = f"\nfix: {result.fix}" if result.fix else ""
    return f"{waived}{result.reason}{fix}"
