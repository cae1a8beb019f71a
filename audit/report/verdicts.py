"""What a report says beside its verdict: what is in the way, what a profile leaves out, waivers, gates, stand-ins."""

from collections import Counter
from collections.abc import Iterator

from audit.profiles import left_out_by
from audit.report.document import Report
from audit.report.listing import by_severity
from audit.report.text import counted
from audit.results import Outcome
from audit.score import Verdict
from audit.waivers import WaiverRow

_MOST_NAMED = 6  # checks in one line


def verdict_text(report: Report) -> str:
    """Return the verdict in words, with the number of waivers that it rests on, and the hardware that it is about."""
    words = str(report.verdict)
    if report.verdict is Verdict.READY_WITH_WAIVERS:
        words = f"ready with {counted(sum(bool(row.waives) for row in report.waivers), 'waiver')}"
    return f"{words}, {report.profile.use}" if report.profile else words


def verdict_lines(report: Report) -> list[str]:
    """Return lines of what a profile leaves out, gates missed and waivers, and one where the clock is not believed."""
    lines = [*_left_out(report), *_stand_ins(report)]
    lines += [f"gate missed, so {gate.verdict}: {gate.gate}: {gate.says}" for gate in report.missed_gates]
    lines += [waiver_line(row) for row in report.waivers]
    day = report.waivers_by
    if day and day.origin == "commit":
        lines.append(f"waivers are judged by the day of the commit, {day.day}: the clock of this machine is behind it")
    return lines


def in_the_way(report: Report) -> Iterator[str]:
    """Yield a line of the checks that keep a release from being ready, for where they are not listed right beside it.

    A gate that was missed says so itself.
    """
    wanted = {Verdict.NOT_READY: (Outcome.FAILED,), Verdict.INCOMPLETE: (Outcome.ERROR, Outcome.SKIPPED)}
    outcomes = wanted.get(report.verdict) if report.release and report.verdict else None
    if outcomes is None:
        return
    gating = [each for each in report.results if each.severity.gates_release and not each.waived]
    counts = Counter(each.check for each in by_severity(gating) if each.outcome in outcomes)
    if counts:
        named = [f"{check} ({counted(count, 'subject')})" for check, count in counts.items()]
        more = [f"and {len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
        yield f"{report.verdict} because of {', '.join([*named[:_MOST_NAMED], *more])}"


def _stand_ins(report: Report) -> Iterator[str]:
    """Yield how much was measured of stand-ins, where it would be taken for that of the libraries."""
    results = [each for each in report.results if each.evidence.stand_in]
    if results:
        libraries = ", ".join(sorted({each.evidence.stand_in or "" for each in results}))
        on = counted(len({each.subject.name for each in results}), "subject")
        rest = f"{counted(len(results), 'result')} on {on} rest on exact stand-ins"
        yield f"{rest}, and the libraries did not run: {libraries}"


def _left_out(report: Report) -> Iterator[str]:
    """Yield how much is not judged because it needs more than the profile has."""
    if report.profile is None:
        return
    results = [each for each in report.results if each.outcome is Outcome.NOT_APPLICABLE and left_out_by(each.reason)]
    if results:
        checks, subjects = {each.check for each in results}, {each.subject.name for each in results}
        on = f"{counted(len(checks), 'check')} on {counted(len(subjects), 'subject')}"
        yield f"{on} not judged, for they need more than the profile {report.profile} has"
    else:
        yield f"profile {report.profile}: nothing is left out for want of hardware"


def waiver_line(row: WaiverRow) -> str:
    """Return what a waiver covers and came to; owner, reason and names are the target's words."""
    what = f"{counted(row.waives, 'failure')} waived" if row.waives else "nothing waived"
    state = "" if row.state == "in force" else f"{row.state} "
    remark = f" ({row.remark})" if row.remark else ""
    return (
        f"{state}waiver of {row.check} on {row.subject}: {what}, by {row.owner} until {row.expires}: "
        f"{row.reason}{remark}"
    )
