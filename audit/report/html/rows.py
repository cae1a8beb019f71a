"""Results as rows: the first as markup, and all of them as data that the page's script shows some of at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.report.document import Report
from audit.report.html.markup import NOTHING, Html, joined, json_block, shown, tag, text
from audit.report.text import number, one_line
from audit.results import Location, Outcome, Result, Severity

ORDER = (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED, Outcome.PASSED, Outcome.NOT_APPLICABLE)
_SEVERITIES = tuple(Severity)
_LISTED = 300  # as markup, for whoever reads without JavaScript
_SHOWN_WITHOUT_SCRIPT = (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED)


def in_words(outcome: Outcome) -> str:
    """Return an outcome as it is written in prose."""
    return outcome.value.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a row says: the line that is always seen, and what is below it. Texts are still to be escaped."""

    outcome: str = ""
    severity: str = ""
    check: str = ""
    subject: str = ""
    place: str = ""
    reason: str = ""
    command: str = ""
    facts: tuple[tuple[str, str], ...] = ()


def ordered(report: Report) -> list[Result]:
    """Return the results with what needs attention first."""
    return sorted(
        report.results,
        key=lambda each: (
            ORDER.index(each.outcome),
            bool(each.set_apart or each.waived),
            _SEVERITIES.index(each.severity),
        ),
    )


def row_of(result: Result, *, proves: str) -> Row:
    """Return what a result says."""
    return Row(
        outcome=result.outcome.value,
        severity=result.severity.value,
        check=result.check,
        subject=one_line(result.subject.name),
        place=shown_place(result.location),
        reason=result.reason or "",
        command=result.evidence.reproduce or "",
        facts=tuple((label, value) for label, value in _facts(result, proves) if value),
    )


def shown_place(place: Location | None) -> str:
    """Return a place as text; of a notebook with its cell, and nothing where there is none."""
    if place is None:
        return ""
    cell = f" (cell {place.cell}, line {place.cell_line})" if place.cell is not None else ""
    return one_line(f"{place.path}:{place.line}{cell}" if place.line else place.path)


def _facts(result: Result, proves: str) -> Iterator[tuple[str, str]]:
    evidence, subject = result.evidence, result.subject
    yield "failed before", result.set_apart or ""
    yield "waived", result.waived or ""
    if evidence.measured is not None:
        yield "measured", " ".join(filter(None, (number(evidence.measured), evidence.unit)))
    if evidence.bound is not None:
        yield "passes when", f"{evidence.comparison or ''} {number(evidence.bound)}".strip()
    yield "measured of", f"an exact stand-in for {evidence.stand_in}, not of the library" if evidence.stand_in else ""
    yield "the bound comes from", evidence.bound_origin or ""
    if result.defect:
        yield "defect", f"{result.defect.id}: {result.defect.how}"
    yield "fix", result.fix or ""
    yield "a pass proves", proves
    kind = subject.kind.value.replace("_", " ")
    yield "subject", f"{kind}, {number(subject.parameters)} parameters" if subject.parameters is not None else kind
    yield "digest of its source", subject.digest or ""
    yield "seed", "" if evidence.seed is None else str(evidence.seed)
    yield "took", "" if evidence.duration_s is None else f"{evidence.duration_s:.3g} s"
    yield "measured at", evidence.measured_at or ""
    yield "measured at commit", evidence.measured_commit or ""


def row_markup(row: Row) -> Html:
    """Return a row; of an empty one, the form that the page's script fills."""
    line = tag(
        "summary",
        tag("span", text(row.outcome.replace("_", " ")), class_=f"outcome {row.outcome}".strip()),
        # A space between them, for whoever copies the line or has it read out.
        *(
            Html(f" {tag('span', text(getattr(row, name)), class_=name)}")
            for name in ("check", "subject", "severity", "place", "reason")
        ),
    )
    pairs = (tag("div", tag("dt", text(label)), tag("dd", text(value))) for label, value in row.facts)
    below = tag(
        "div", tag("p", text(row.reason), class_="whole"), tag("dl", *pairs, class_="facts"), copied(row.command),
        tag("div", class_="curves"), class_="below",
    )  # fmt: skip
    return tag("li", tag("details", line, below), class_="result")


def copied(command: str, what: str = "command") -> Html:
    """Return a text that is meant to be carried out, with the button that copies it where there is a script."""
    button = tag("button", text("Copy"), type="button", class_="copy", aria_label=f"Copy the {what}", hidden=True)
    return tag("div", tag("pre", tag("code", text(command)), tabindex="0"), button, class_="copied")


def list_without_script(results: Sequence[Result], proves: dict[str, str]) -> Html:
    """Return what stands in the list until the script replaces it: what failed, and what could not be judged."""
    wanted = [each for each in results if each.outcome in _SHOWN_WITHOUT_SCRIPT]
    rows = joined(row_markup(row_of(each, proves=proves[each.check])) for each in wanted[:_LISTED])
    more = len(results) - len(wanted[:_LISTED])
    note = tag("p", text(f"{more} further results are listed with JavaScript, and in the JSON."), class_="note later")
    return joined((tag("ol", rows, id="list", class_="results"), note if more else NOTHING))


def rows_data(results: Sequence[Result], proves: dict[str, str], curves: dict[int, list[str]]) -> Html:
    """Return all rows as JSON; a text that stands in many of them is written once.

    Args:
        results: in order.
        proves: what a pass of each check proves.
        curves: ids of the templates that hold the curves of a result, by its place in the order.
    """
    texts: dict[str, int] = {}

    def index(value: str) -> int:
        return texts.setdefault(value, len(texts))

    rows = []
    for position, result in enumerate(results):
        row = row_of(result, proves=proves[result.check])
        line = (row.outcome, row.severity, row.check, row.subject, row.place, row.reason, row.command)
        facts = [index(each) for pair in row.facts for each in pair]
        rows.append([*map(index, line), facts, [index(each) for each in curves.get(position, ())]])
    return json_block({"texts": [shown(each) for each in texts], "rows": rows}, name="data")
