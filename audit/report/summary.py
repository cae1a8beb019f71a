"""The report on one page, in Markdown: verdict, areas, the worst of what failed, and what was not judged."""

from collections import Counter
from collections.abc import Iterator

from audit.report.baselines import baseline_lines
from audit.report.defects import counted_defects
from audit.report.document import Report
from audit.report.earlier import earlier_lines
from audit.report.origin import SCORE_NOTE
from audit.report.text import cell_code, code, counted, markdown, percent
from audit.report.unjudged import unjudged
from audit.report.verdicts import in_the_way, verdict_lines, verdict_text
from audit.results import Outcome, Result, Severity

_MOST_BESIDE = 12  # lines such as gates that were missed, and waivers
_MOST_DEFECTS = 5
_MOST_FAILED = 8
_MOST_REASONS = 6
_LONGEST = 240  # of a reason: two lines of a page
_SEVERITIES = tuple(Severity)


def render_summary(report: Report) -> str:
    """Return the page. It is short whatever the number of results, and says how much it leaves out."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield from _head(report)
    yield from _areas(report)
    yield from _defects(report)
    yield from _failed(report)
    yield from _not_judged(report)
    yield from ("", _origin(report))


def _head(report: Report) -> Iterator[str]:
    provenance = report.provenance
    if report.partial:
        yield f"**Partial run, no verdict: {markdown(report.partial_reason or '', _LONGEST)}**"
    else:
        shares = f"score {percent(report.score)} · coverage {percent(report.coverage)}"
        yield f"**Verdict: {verdict_text(report)}** · {shares}"
    beside = [*in_the_way(report), *verdict_lines(report)]
    for line in beside[:_MOST_BESIDE]:
        yield from ("", f"- {markdown(line, _LONGEST)}")
    yield from _more(len(beside) - _MOST_BESIDE)
    yield from ("", f"# {report.command.capitalize()} of {markdown(provenance.package, _LONGEST)}", "")
    yield f"{_counted(report)}. {SCORE_NOTE}"
    for line in (*baseline_lines(report), *earlier_lines(report)):
        yield from ("", markdown(line, _LONGEST))


def _counted(report: Report) -> str:
    counts = Counter(result.outcome for result in report.results)
    told = [f"{counts[each]} {each.value.replace('_', ' ')}" for each in Outcome if counts[each]]
    return f"{counted(len(report.results), 'result')} of {counted(len(report.checks), 'check')}: {', '.join(told)}"


def _areas(report: Report) -> Iterator[str]:
    yield from ("", "| area | score | coverage | passed | failed | not judged |", "|---|--:|--:|--:|--:|--:|")
    for area in report.areas:
        yield (
            f"| {area.name} | {percent(area.score)} | {percent(area.coverage)} | {area.passed} | {area.failed} "
            f"| {area.error + area.skipped} |"
        )


def _defects(report: Report) -> Iterator[str]:
    if not report.defects:
        return
    yield from ("", f"## {counted_defects(report)}", "")
    for defect in report.defects[:_MOST_DEFECTS]:
        place = f" at {code(f'{defect.location.path}:{defect.location.line or 1}')}" if defect.location else ""
        yield f"- {markdown(defect.title, _LONGEST)}: {code(defect.subject.name)}{place}"
    yield from _more(len(report.defects) - _MOST_DEFECTS)


def _failed(report: Report) -> Iterator[str]:
    """Yield the checks that failed, the most severe first: one line each, however many subjects fail it."""
    failed = [each for each in report.results if each.outcome is Outcome.FAILED and not each.set_apart]
    if not failed:
        return
    by_check: dict[str, list[Result]] = {}
    for result in failed:
        by_check.setdefault(result.check, []).append(result)
    ranked = sorted(by_check.items(), key=lambda each: (_SEVERITIES.index(each[1][0].severity), -len(each[1]), each[0]))
    title = f"Failed: {counted(len(failed), 'result')} of {counted(len(ranked), 'check')}"
    yield from ("", f"## {title}", "", "| check | severity | results | first |", "|---|---|--:|---|")
    for check, results in ranked[:_MOST_FAILED]:
        first = results[0]
        said = f"{cell_code(first.subject.name[:_LONGEST])}: {markdown(first.waived or first.reason or '', _LONGEST)}"
        yield f"| {check} | {first.severity} | {len(results)} | {said} |"
    yield from _more(len(ranked) - _MOST_FAILED)


def _not_judged(report: Report) -> Iterator[str]:
    groups = unjudged(report)
    if not groups:
        return
    yield from ("", "## Not judged, and what would be needed", "")
    for group in groups[:_MOST_REASONS]:
        gates = ", keeps a release from being ready" if group.gates else ""
        needed = f" (needed: {markdown(group.needed, _LONGEST)})" if group.needed else ""
        yield f"- {group.area}, {group.counted}{gates}: {markdown(group.reason, _LONGEST)}{needed}"
    yield from _more(len(groups) - _MOST_REASONS)


def _more(number: int) -> Iterator[str]:
    if number > 0:
        yield from ("", f"... and {number} more in the full report.")


def _origin(report: Report) -> str:
    provenance = report.provenance
    dirty = " with uncommitted changes" if provenance.dirty else ""
    commit = markdown(provenance.commit or "no commit", _LONGEST)
    return (
        f"{report.tool.name} {markdown(report.tool.version)}, {commit}{dirty}, {markdown(provenance.finished_at)}, "
        f"{markdown(provenance.platform)}; {code(provenance.command)}"
    )
