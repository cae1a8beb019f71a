"""What a report says first about findings that were there before."""

from audit.report.document import Report
from audit.report.text import counted


def baseline_lines(report: Report) -> list[str]:
    """Return a line for each baseline: how much it sets apart; and one more where it lists what is gone."""
    lines = []
    for baseline in report.baselines:
        one = baseline.set_apart == 1
        verbs = ("is", "does not count here") if one else ("are", "do not count here")
        lines.append(f"{counted(baseline.set_apart, 'failure')} {verbs[0]} in {baseline.source}, and {verbs[1]}")
        if baseline.unneeded:
            number = len(baseline.unneeded)
            gone = "1 entry of" if number == 1 else f"{number} entries of"
            lists = "it lists" if number == 1 else "they list"
            lines.append(f"{gone} {baseline.source} can be removed: what {lists} is gone (--write-baseline)")
    return lines
