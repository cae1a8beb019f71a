"""What a report says beside its verdict: what waivers cover, which are of no use, and which gates were missed."""

from audit.report.document import Report
from audit.report.text import counted
from audit.score import Verdict
from audit.waivers import WaiverRow


def verdict_text(report: Report) -> str:
    """Return the verdict in words, with the number of waivers that it rests on."""
    if report.verdict is not Verdict.READY_WITH_WAIVERS:
        return str(report.verdict)
    return f"ready with {counted(sum(bool(row.waives) for row in report.waivers), 'waiver')}"


def verdict_lines(report: Report) -> list[str]:
    """Return a line for each gate that was missed and for each waiver, and one where the clock is not believed."""
    lines = [f"gate missed, so {gate.verdict}: {gate.gate}: {gate.says}" for gate in report.missed_gates]
    lines += [waiver_line(row) for row in report.waivers]
    day = report.waivers_by
    if day and day.origin == "commit":
        lines.append(f"waivers are judged by the day of the commit, {day.day}: the clock of this machine is behind it")
    return lines


def waiver_line(row: WaiverRow) -> str:
    """Return what a waiver covers and came to; owner, reason and names are the target's words."""
    what = f"{counted(row.waives, 'failure')} waived" if row.waives else "nothing waived"
    state = "" if row.state == "in force" else f"{row.state} "
    remark = f" ({row.remark})" if row.remark else ""
    return (
        f"{state}waiver of {row.check} on {row.subject}: {what}, by {row.owner} until {row.expires}: "
        f"{row.reason}{remark}"
    )
