"""The parts of a page that tell of the package itself: which imports fail, and what it consists of."""

from collections.abc import Sequence

from audit.report.document import Report
from audit.report.html.markup import NOTHING, Html, joined, tag, text
from audit.report.html.sections import scrolled
from audit.report.imports import MAX_MODULES, grouped
from audit.report.text import counted, number
from audit.static.inventory import InventoryItem
from audit.static.kinds import InventoryKind

_MOST_ITEMS = 300  # of a kind


def imports(report: Report) -> Html:
    """Return the root causes of imports that fail, each with the modules that it takes down."""
    failing = [row for row in report.imports if row.forecast == "fails"]
    if not report.imports:
        return NOTHING
    guarded = sum(row.guarded and row.forecast == "ok" for row in report.imports)
    modules = counted(len(report.imports), "module")
    head = tag("p", text(f"{len(failing)} of {modules} fail to import; {guarded} guard an import that fails."))
    then = {row.module: row.then for row in failing}
    items = []
    for (cause, name, path, line), members in sorted(grouped(failing).items(), key=lambda each: -len(each[1])):
        more = f" and {len(members) - MAX_MODULES} more" if len(members) > MAX_MODULES else ""
        missed = sorted({each for member in members for each in then[member]})
        next_missed = f"; then {', '.join(missed)}" if missed else ""
        items.append(
            tag(
                "li",
                tag("strong", text(counted(len(members), "module"))),
                text(f": {cause.in_words} {name} at {path}:{line}{next_missed}"),
                tag("p", text(", ".join(members[:MAX_MODULES]) + more)),
            )
        )
    return joined((head, tag("ul", *items) if items else NOTHING))


def inventory(report: Report) -> Html:
    """Return what the package consists of, kind by kind, and what was left out of the analysis."""
    parts = []
    for kind in InventoryKind:
        items = [item for item in report.inventory if item.kind is kind]
        if items:
            parts.append(_kind(kind, items))
    left = [
        tag("li", text(f"{each.path}: {number(each.files)} Python files, {each.reason}"))
        for each in report.skipped_trees
    ]
    if left:
        parts += [tag("h3", text("Left out of the analysis")), tag("ul", *left)]
    return joined(parts)


def _kind(kind: InventoryKind, items: Sequence[InventoryItem]) -> Html:
    name = kind.replace("_", " ")
    head = tag("tr", *(tag("th", text(each), scope="col") for each in ("name", "place", "bases")))
    rows = [
        tag(
            "tr",
            tag("td", text(":".join(filter(None, (item.module, item.qualname))))),
            tag("td", text(f"{item.path}:{item.line}")),
            tag("td", text(", ".join(item.bases))),
        )
        for item in items[:_MOST_ITEMS]
    ]
    more = len(items) - _MOST_ITEMS
    note = tag("p", text(f"{more} more are in the JSON."), class_="note") if more > 0 else NOTHING
    table = scrolled(tag("table", tag("thead", head), tag("tbody", *rows)), name)
    return tag("details", tag("summary", text(f"{name} ({len(items)})")), table, note)
