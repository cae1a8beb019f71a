"""The report as Markdown: verdict, areas, what failed, what was not judged, and the evidence of each pass."""

from collections.abc import Iterable, Iterator

from audit.report.baselines import baseline_lines
from audit.report.curves import curves_section
from audit.report.defects import defects_section
from audit.report.document import Report
from audit.report.earlier import earlier_lines
from audit.report.imports import import_section
from audit.report.origin import SCORE_NOTE, provenance_rows
from audit.report.text import cell_code, code, markdown, number, percent
from audit.report.verdicts import in_the_way, verdict_lines, verdict_text
from audit.results import Outcome, Result
from audit.static.inventory import Fact, InventoryItem
from audit.static.kinds import InventoryKind

_MAX_LISTED = 5
_ORDER = (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED, Outcome.NOT_APPLICABLE)
_TITLES = {
    Outcome.FAILED: "Failed",
    Outcome.ERROR: "Error: could not be judged",
    Outcome.SKIPPED: "Skipped: not judged",
    Outcome.NOT_APPLICABLE: "Not applicable",
}


def render_markdown(report: Report) -> str:
    """Return the whole report as Markdown."""
    parts = [
        _headline(report),
        "\n".join(f"- {markdown(line)}" for line in (*baseline_lines(report), *earlier_lines(report))),
        _areas(report),
        defects_section(report),
        *(_group(report, outcome) for outcome in _ORDER),
        _known_before(report),
        curves_section(report),
        _passed(report),
        _inventory(report),
        import_section(report.imports),
        _provenance(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _headline(report: Report) -> str:
    package = markdown(report.provenance.package)
    if report.partial:
        first = f"**Partial run, no verdict: {markdown(report.partial_reason or '')}**"
    else:
        shares = f"score {percent(report.score)} · coverage {percent(report.coverage)}"
        first = f"**Verdict: {verdict_text(report)}** · {shares}"
    beside = "".join(f"\n\n- {markdown(line)}" for line in (*in_the_way(report), *verdict_lines(report)))
    return f"{first}{beside}\n\n# {report.command.capitalize()} report of {package}\n\n{SCORE_NOTE}"


def _areas(report: Report) -> str:
    rows = ["| area | passed | failed | error | skipped | not applicable | score | coverage |", "|---|" + "--:|" * 7]
    for area in report.areas:
        counts = f"{area.passed} | {area.failed} | {area.error} | {area.skipped} | {area.not_applicable}"
        rows.append(f"| {area.name} | {counts} | {percent(area.score)} | {percent(area.coverage)} |")
    return "\n".join(rows)


def _group(report: Report, outcome: Outcome) -> str:
    results = [result for result in report.results if result.outcome is outcome and not result.set_apart]
    if not results:
        return ""
    lines = [f"## {_TITLES[outcome]} ({len(results)})", ""]
    for result in results:
        lines.extend(_entry(result))
    return "\n".join(lines)


def _known_before(report: Report) -> str:
    results = [result for result in report.results if result.set_apart]
    if not results:
        return ""
    lines = [f"## Failed before ({len(results)})", ""]
    for result in results:
        reason = f"{result.set_apart}: {result.reason}"
        lines.append(f"- **{result.check}** ({result.severity}){_place(result)}: {markdown(reason)}")
    return "\n".join(lines)


def _entry(result: Result) -> Iterator[str]:
    subject = code(result.subject.name) + _place(result)
    yield f"- **{result.check}** ({result.severity}) on {subject}: {markdown(result.reason or '')}"
    if result.waived:
        yield f"  - {markdown(result.waived)}"
    if result.defect:
        yield f"  - defect: {code(result.defect.id)}: {markdown(result.defect.how)}"
    evidence = result.evidence
    if evidence.measured is not None:
        measured = " ".join(filter(None, (code(number(evidence.measured)), markdown(evidence.unit or ""))))
        bound = markdown(number(evidence.bound))
        measured += f", of a stand-in for {code(evidence.stand_in)}" if evidence.stand_in else ""
        passes = f" (passes when {evidence.comparison} {bound})" if evidence.bound is not None else ""
        yield f"  - measured {measured}{passes}; bound: {markdown(evidence.bound_origin or '-')}"
    if result.fix:
        yield f"  - fix: {markdown(result.fix)}"
    if evidence.reproduce:
        yield f"  - reproduce: {code(evidence.reproduce)}"


def _place(result: Result) -> str:
    if result.location is None:
        return ""
    line = f":{result.location.line}" if result.location.line else ""
    return f" at {code(result.location.path + line)}"


def _passed(report: Report) -> str:
    results = [result for result in report.results if result.outcome is Outcome.PASSED]
    if not results:
        return ""
    proves = {check.id: check.proves for check in report.checks}
    seen = sorted({result.check for result in results})
    lines = [f"## Passed ({len(results)})", "", *_passed_rows(results), "", "What a pass proves:", ""]
    lines += [f"- **{check}**: {markdown(proves[check])}" for check in seen]
    return "\n".join(lines)


def _passed_rows(results: Iterable[Result]) -> Iterator[str]:
    yield "| check | subject | parameters | source digest | measured | bound | where the bound comes from |"
    yield "|---|---|--:|---|--:|--:|---|"
    for result in results:
        evidence = result.evidence
        digest = (result.subject.digest or "-").removeprefix("sha256:")[:12]
        measured = " ".join(filter(None, (number(evidence.measured), evidence.unit)))
        bound = f"{evidence.comparison or ''} {number(evidence.bound)}"
        through = f" (stand-in for {cell_code(evidence.stand_in)})" if evidence.stand_in else ""
        yield (
            f"| {result.check} | {cell_code(result.subject.name)}{through} | {number(result.subject.parameters)} "
            f"| {markdown(digest)} "
            f"| {markdown(measured)} | {markdown(bound)} | {markdown(evidence.bound_origin or '-')} |"
        )


def _inventory(report: Report) -> str:
    if not report.inventory:
        return ""
    lines = [f"## Inventory ({len(report.inventory)})"]
    for kind in InventoryKind:
        items = [item for item in report.inventory if item.kind is kind]
        if items:
            lines += ["", f"### {kind.replace('_', ' ')} ({len(items)})", "", *_inventory_rows(items)]
    if report.skipped_trees:
        lines += ["", "Left out of the analysis:", ""]
        lines += [
            f"- {code(tree.path)}: {number(tree.files)} Python files, {markdown(tree.reason)}"
            for tree in report.skipped_trees
        ]
    return "\n".join(lines)


def _inventory_rows(items: Iterable[InventoryItem]) -> Iterator[str]:
    yield "| name | place | bases | facts |"
    yield "|---|---|---|---|"
    for item in items:
        name = f"{item.module}:{item.qualname}" if item.module and item.qualname else item.module or item.qualname
        place = f"{item.path}:{item.line}"
        facts = "; ".join(f"{key}: {_fact(value)}" for key, value in item.facts.items() if value not in (None, ()))
        yield f"| {cell_code(name)} | {cell_code(place)} | {markdown(', '.join(item.bases))} | {markdown(facts)} |"


def _fact(value: Fact) -> str:
    """Return a fact in words; of a long list its first entries, for the JSON has all."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        more = [f"and {len(value) - _MAX_LISTED} more"] if len(value) > _MAX_LISTED else []
        return ", ".join([*value[:_MAX_LISTED], *more])
    return str(value)


def _provenance(report: Report) -> str:
    rows = provenance_rows(report)
    return "\n".join(["## Provenance", "", *(f"- {markdown(key)}: {markdown(value)}" for key, value in rows.items())])
