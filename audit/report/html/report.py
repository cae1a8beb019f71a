"""A report as a page."""

from audit.report.document import Report
from audit.report.html.filters import filter_form, page_buttons
from audit.report.html.markup import Html, joined, tag
from audit.report.html.page import Section, page
from audit.report.html.project import imports, inventory
from audit.report.html.rows import list_without_script, ordered, rows_data
from audit.report.html.sections import areas, curves, curves_of, defects, failures, header, not_judged, provenance
from audit.report.text import one_line
from audit.report.verdicts import verdict_text
from audit.results import Result

_MOST_WITH_CURVES = 1_000  # results whose curves are drawn; a figure takes some ten kilobytes


def render_html(report: Report, *, script: str = "") -> str:
    """Return the report as one page; `script` is as for `page`."""
    results = ordered(report)
    proves = {check.id: check.proves for check in report.checks}
    templates, names = _drawn(results)
    sections = [
        Section("areas", "Areas", areas(report)),
        Section("defects", f"Defects ({len(report.defects)})", defects(report)),
        Section("failures", "Failures", failures(report)),
        Section("not-judged", "Not judged, and what would be needed", not_judged(report)),
        Section("curves", "Curves", curves(report)),
        Section(
            "results",
            f"Results ({len(results)})",
            joined((filter_form(report), list_without_script(results, proves), page_buttons())),
        ),
        Section("imports", "Imports", imports(report)),
        Section("inventory", f"Inventory ({len(report.inventory)})", inventory(report)),
        Section("provenance", "Provenance", provenance(report)),
    ]
    verdict = "partial run" if report.partial else verdict_text(report)
    return page(
        one_line(f"{verdict}: {report.command} report of {report.provenance.package}"),
        header(report),
        [each for each in sections if each.content],
        joined((*templates, rows_data(results, proves, names))),
        script=script,
    )


def _drawn(results: list[Result]) -> tuple[list[Html], dict[int, list[str]]]:
    """Return templates with the curves of results, and their ids by the place of the result."""
    templates: list[Html] = []
    names: dict[int, list[str]] = {}
    with_curves = [position for position, result in enumerate(results) if result.evidence.series]
    for position in with_curves[:_MOST_WITH_CURVES]:
        for figure in curves_of(results[position]):
            name = f"curve-{len(templates)}"
            templates.append(tag("template", figure, id=name))
            names.setdefault(position, []).append(name)
    return templates, names
