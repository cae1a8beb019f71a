"""What a report says first about results that are not of this run."""

from audit.report.document import Report
from audit.report.text import counted

_DIGITS = 12  # of a commit, as elsewhere in a sentence
_MOST_COMMITS = 3
_DIRTY = " with uncommitted changes"


def earlier_lines(report: Report) -> list[str]:
    """Return a line where results were measured in earlier runs: how many of how many, when, and at which commits."""
    dates = sorted(result.evidence.measured_at for result in report.results if result.evidence.measured_at)
    if not dates:
        return []
    when = f"at {dates[0]}" if dates[0] == dates[-1] else f"between {dates[0]} and {dates[-1]}"
    commits = sorted({each.evidence.measured_commit for each in report.results if each.evidence.measured_commit})
    shown = [f"{each[:_DIGITS]}{_DIRTY if each.endswith('-dirty') else ''}" for each in commits[:_MOST_COMMITS]]
    more = f" and {len(commits) - _MOST_COMMITS} more" if len(commits) > _MOST_COMMITS else ""
    if commits:
        when += f", at {'commit' if len(commits) == 1 else 'commits'} {', '.join(shown)}{more}"
    was = "was" if len(dates) == 1 else "were"
    return [
        f"{counted(len(dates), 'result')} of {len(report.results)} {was} measured {when}, by earlier runs on the same "
        "files; --no-cache measures them again"
    ]
