"""What a report says first about results that are not of this run."""

from audit.report.document import Report
from audit.report.text import counted


def earlier_lines(report: Report) -> list[str]:
    """Return a line where results were measured in earlier runs: how many of how many, and when."""
    dates = sorted(result.evidence.measured_at for result in report.results if result.evidence.measured_at)
    if not dates:
        return []
    when = f"at {dates[0]}" if dates[0] == dates[-1] else f"between {dates[0]} and {dates[-1]}"
    was = "was" if len(dates) == 1 else "were"
    return [
        f"{counted(len(dates), 'result')} of {len(report.results)} {was} measured {when}, by earlier runs on the same "
        "files; --no-cache measures them again"
    ]
