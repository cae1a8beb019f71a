"""The form that filters and searches the results. Hidden until the page's script shows that it works."""

from collections import Counter
from collections.abc import Iterable

from audit.report.document import Report
from audit.report.html.markup import Html, joined, tag, text
from audit.report.html.rows import ORDER, Row, in_words, row_markup
from audit.results import Severity


def filter_form(report: Report) -> Html:
    """Return the form, the number of what it lets through, and the buttons that turn pages."""
    counts = Counter(each.outcome for each in report.results)
    boxes = [
        tag(
            "label",
            tag("input", type="checkbox", name="filter", value=each.value, checked=True),
            tag("span", text(in_words(each)), class_=f"outcome {each.value}"),
            text(f" {counts[each]}"),
        )
        for each in ORDER
    ]
    severities = [each.value for each in Severity]
    form = tag(
        "form",
        tag("fieldset", tag("legend", text("Outcome")), *boxes),
        _choice("area", "Area", [each.name for each in report.areas]),
        _choice("severity", "Severity", severities),
        tag("label", text("Search "), tag("input", type="search", name="q", autocomplete="off", spellcheck="false")),
        tag("button", text("Show all"), type="reset"),
        role="search",
        id="filters",
        hidden=True,
        aria_label="Filter the results",
    )
    empty = tag("template", row_markup(Row()), id="row")
    return joined((form, tag("p", id="count", role="status", aria_live="polite", tabindex="-1"), empty))


def _choice(name: str, label: str, values: Iterable[str]) -> Html:
    options = (tag("option", text(each), value=each) for each in values)
    choice = tag("select", tag("option", text("all"), value=""), *options, name=name)
    return tag("label", text(f"{label} "), choice)


def page_buttons() -> Html:
    """Return the buttons that turn pages of the list."""
    return tag(
        "div",
        tag("button", text("Previous page"), type="button", id="previous"),
        tag("span", id="page"),
        tag("button", text("Next page"), type="button", id="next"),
        id="pages",
        role="group",
        aria_label="Pages of the results",
        hidden=True,
    )
