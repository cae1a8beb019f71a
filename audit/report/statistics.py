"""How often each check failed: the view for whoever decides what to mend first."""

import json
from collections import Counter

from audit.report.baselines import baseline_lines
from audit.report.document import Report
from audit.report.text import plain
from audit.results import Outcome


def statistics_text(report: Report) -> str:
    """Return a line for each check that failed, the most frequent first; what is set apart is not counted."""
    rows = _counts(report)
    lines = [f"partial run, no verdict: {report.partial_reason}"] if report.partial else []
    lines += baseline_lines(report)
    titles = {check.id: check for check in report.checks}
    width = len(str(max((number for _, number in rows), default=0)))
    lines += [
        f"{number:{width}}  {check:14}  {titles[check].severity:8}  {titles[check].title}" for check, number in rows
    ]
    lines.append(f"{sum(number for _, number in rows)} in all" if rows else "no failure")
    return "".join(f"{plain(line).replace(chr(10), ' ')}\n" for line in lines)


def statistics_json(report: Report) -> str:
    """Return the same rows as a JSON array."""
    checks = {check.id: check for check in report.checks}
    rows = [
        {"check": check, "count": number, "severity": checks[check].severity, "title": checks[check].title}
        for check, number in _counts(report)
    ]
    return json.dumps(rows, indent=2) + "\n"


def _counts(report: Report) -> list[tuple[str, int]]:
    failed = (each.check for each in report.results if each.outcome is Outcome.FAILED and not each.set_apart)
    return sorted(Counter(failed).items(), key=lambda row: (-row[1], row[0]))
