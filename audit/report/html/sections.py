"""The parts of a report's page, apart from the list of its results."""

from collections.abc import Iterator

from audit.report.baselines import baseline_lines
from audit.report.curves import drawn
from audit.report.defects import MADE_BEFORE, counted_defects, is_thread, place_of, told
from audit.report.document import Report
from audit.report.earlier import earlier_lines
from audit.report.html.markup import NOTHING, Html, joined, tag, text
from audit.report.html.plots import Axes, line_of, line_plot
from audit.report.html.rows import ORDER, copied, in_words, shown_place
from audit.report.listing import by_severity
from audit.report.origin import SCORE_NOTE, provenance_rows
from audit.report.pictures import svg_picture
from audit.report.text import one_line, percent
from audit.report.unjudged import Unjudged, unjudged
from audit.report.verdicts import in_the_way, verdict_lines, verdict_text
from audit.results import Defect, Outcome, Result, Series
from audit.score import Area, Verdict

_GOOD = (Verdict.READY, Verdict.READY_WITH_WAIVERS, Verdict.CLEAN)
_MOST_FIGURES = 60  # of curves; the list of results has the others
_MOST_PICTURES = 100  # of attention: 2,000 cells each, at the most
_MOST_NAMES = 8
_MOST_REASONS = 300
_MOST_FAILURES = 100
_MOST_DEFECTS = 500


def header(report: Report) -> Html:
    """Return the verdict, then score and coverage together, then what was judged and when."""
    provenance = report.provenance
    if report.partial:
        first = tag("h1", text("Partial run, no verdict"), class_="verdict open")
        why = tag("p", text(report.partial_reason or ""), class_="why")
    else:
        good = report.verdict in _GOOD
        state = "good" if good else "open" if report.verdict is Verdict.INCOMPLETE else "bad"
        first, why = tag("h1", text(f"Verdict: {verdict_text(report)}"), class_=f"verdict {state}"), NOTHING
    figures = {"score": percent(report.score), "coverage": percent(report.coverage)}
    counts = {in_words(each): str(sum(area_count(area, each) for area in report.areas)) for each in ORDER}
    named = tag("p", text(f"{report.command.capitalize()} report of "), tag("bdi", text(provenance.package)),
                text(f", {provenance.finished_at}"), class_="of")  # fmt: skip
    notes = [*baseline_lines(report), *earlier_lines(report), *filter(None, [counted_defects(report)])]
    return joined(
        (
            first,
            why,
            *(tag("p", text(each), class_="why") for each in (*in_the_way(report), *verdict_lines(report))),
            named,
            _definitions(figures | counts, name="figures"),
            tag("p", text(SCORE_NOTE.replace("`", "")), class_="note"),
            *(tag("p", text(each), class_="note") for each in notes),
        )
    )


def area_count(area: Area, outcome: Outcome) -> int:
    """Return how many results of an area ended so."""
    count: int = getattr(area, outcome.value)
    return count


def _definitions(rows: dict[str, str], *, name: str) -> Html:
    pairs = (tag("div", tag("dt", text(key)), tag("dd", text(value))) for key, value in rows.items())
    return tag("dl", *pairs, class_=name)


def areas(report: Report) -> Html:
    """Return the table of areas, each with its score and coverage side by side."""
    columns = ("area", "score", "coverage", *map(in_words, ORDER), "shares")
    names = {"area": "name", "shares": None}
    head = tag("tr", *(tag("th", text(each), scope="col", class_=names.get(each, "number")) for each in columns))
    return scrolled(tag("table", tag("thead", head), tag("tbody", *map(_area, report.areas))), "Areas")


def _area(area: Area) -> Html:
    numbers = [percent(area.score), percent(area.coverage), *(str(area_count(area, each)) for each in ORDER)]
    return tag(
        "tr",
        tag("th", tag("a", text(area.name), href=f"#area={area.name}"), scope="row", class_="name"),
        *(tag("td", text(each), class_="number") for each in numbers),
        tag("td", _bar(area)),
    )


def _bar(area: Area) -> Html:
    """Return the counts as lengths; the numbers beside it say the same."""
    total = sum(area_count(area, each) for each in ORDER) or 1
    parts, left = [], 0.0
    for outcome in ORDER:
        width = 100 * area_count(area, outcome) / total
        parts.append(tag("rect", x=f"{left:.2f}", y="0", width=f"{width:.2f}", height="10", class_=outcome.value))
        left += width
    box = {"viewBox": "0 0 100 10", "preserveAspectRatio": "none"}
    return tag("svg", *(each for each in parts if 'width="0.00"' not in each), class_="bar", aria_hidden="true", **box)


def scrolled(table: Html, name: str) -> Html:
    """Return a table that scrolls by itself where it is wider than the window, with the keyboard too."""
    return tag("div", table, class_="scrolled", tabindex="0", role="region", aria_label=f"Table: {name}")


def failures(report: Report) -> Html:
    """Return what failed and comes from no defect, the most severe first; nothing where nothing did."""
    failed = [each for each in report.results if each.outcome is Outcome.FAILED and not each.defect]
    wanted = by_severity([each for each in failed if not (each.set_apart or each.waived)])
    if not wanted:
        return NOTHING
    head = tag("tr", *(tag("th", text(each), scope="col") for each in ("check", "severity", "subject", "place", "why")))
    rows = (
        tag(
            "tr",
            tag("td", text(each.check), class_="name"),
            tag("td", text(each.severity.value)),
            tag("td", text(one_line(each.subject.name, 100))),
            tag("td", text(shown_place(each.location))),
            tag("td", text(one_line(each.reason or "", 1000)), class_="long"),
        )
        for each in wanted[:_MOST_FAILURES]
    )
    note = f"{len(wanted) - _MOST_FAILURES} further ones are in the list of results."
    more = tag("p", text(note), class_="note") if len(wanted) > _MOST_FAILURES else NOTHING
    return joined((scrolled(tag("table", tag("thead", head), tag("tbody", *rows)), "Failures"), more))


def not_judged(report: Report) -> Html:
    """Return what was not judged, why, and what would be needed; nothing where all was judged."""
    groups = unjudged(report)
    if not groups:
        return NOTHING
    columns = ("outcome", "area", "what", "why", "what would be needed")
    head = tag("tr", *(tag("th", text(each), scope="col") for each in columns))
    table = tag("table", tag("thead", head), tag("tbody", *map(_unjudged, groups[:_MOST_REASONS])))
    more = len(groups) - _MOST_REASONS
    note = tag("p", text(f"{more} further reasons are in the list of results."), class_="note") if more > 0 else NOTHING
    return joined((scrolled(table, "What was not judged"), note))


def _unjudged(group: Unjudged) -> Html:
    word = "undeclared" if group.outcome is Outcome.NOT_APPLICABLE else group.outcome.value
    gates = tag("strong", text("keeps the release from being ready")) if group.gates else NOTHING
    names = [*group.subjects[:_MOST_NAMES], *(["..."] if len(group.subjects) > _MOST_NAMES else [])]
    checks = [*group.checks[:_MOST_NAMES], *(["..."] if len(group.checks) > _MOST_NAMES else [])]
    what = tag("details", tag("summary", text(group.counted)), tag("p", text(", ".join(checks))),
               tag("p", text(one_line(", ".join(names), 1000))))  # fmt: skip
    then = (text("; then"), copied(group.repeat)) if group.repeat else ()
    return tag(
        "tr",
        tag("td", tag("span", text(word), class_=f"outcome {group.outcome.value}")),
        tag("td", text(group.area), class_="name"),
        tag("td", what, gates, class_="what"),
        tag("td", text(group.reason), class_="long"),
        tag("td", text(group.needed or "what the reason names"), *then, class_="long"),
    )


def defects(report: Report) -> Html:
    """Return every defect with its measurement, its picture and its script."""
    articles = [_defect(report, each, position) for position, each in enumerate(report.defects[:_MOST_DEFECTS])]
    more = len(report.defects) - _MOST_DEFECTS
    note = tag("p", text(f"{more} further defects are in the JSON."), class_="note") if more > 0 else NOTHING
    return joined((*articles, note))


def _defect(report: Report, defect: Defect, position: int) -> Html:
    rows = (
        tag("div", tag("dt", text(label)), tag("dd", _linked(defect) if label == MADE_BEFORE else text(value)))
        for label, value in told(report, defect)
    )
    place = place_of(defect)
    where = [tag("p", tag("code", text(one_line(defect.subject.name))), text(f" at {place}" if place else ""))]
    parts = [tag("h3", text(one_line(defect.title))), *where, tag("dl", *rows, class_="facts")]
    if defect.picture and position < _MOST_PICTURES:
        caption = tag("figcaption", text(defect.picture.of))
        parts.append(tag("figure", svg_picture(defect.picture, alone=False), caption, class_="attention"))
    if defect.reproducer:
        name = defect.reproducer.file
        script = copied(defect.reproducer.script, f"script {name}")
        parts.append(tag("details", tag("summary", text(f"Script: {name}")), script))
    return tag("article", *parts, class_="defect")


def _linked(defect: Defect) -> Html:
    links = (tag("a", text(each), href=each, rel="noreferrer noopener") if is_thread(each) else text(each)
             for each in defect.related)  # fmt: skip
    return joined(links, between=", ")


def curves(report: Report) -> Html:
    """Return a figure for each subject that has losses, with all of them in it."""
    by_subject: dict[tuple[str, str], list[tuple[Result, Series]]] = {}
    for result, series in drawn(report):
        by_subject.setdefault((result.subject.name, series.x_name), []).append((result, series))
    figures = [
        line_plot(name, [line_of(series) for _, series in pairs], Axes(x=x_name, y=_unit(pairs[0][1])))
        for (name, x_name), pairs in list(by_subject.items())[:_MOST_FIGURES]
    ]
    more = len(by_subject) - _MOST_FIGURES
    note = tag("p", text(f"{more} further ones are with their results."), class_="note") if more > 0 else NOTHING
    return joined((tag("div", *figures, class_="figures-of-curves"), note)) if figures else NOTHING


def curves_of(result: Result) -> Iterator[Html]:
    """Yield a figure for each curve that a result was read from."""
    for series in result.evidence.series:
        yield line_plot(series.name, [line_of(series)], Axes(x=series.x_name, y=_unit(series)))


def _unit(series: Series) -> str:
    return series.unit or series.name


def provenance(report: Report) -> Html:
    """Return where and when the report was made, and of what."""
    return _definitions(dict(provenance_rows(report)), name="facts")
