"""The section of a Markdown report about imports: root causes first, then the modules that each takes down."""

from collections import defaultdict
from collections.abc import Sequence

from audit.report.text import code, markdown
from audit.static.imports.causes import Cause, ImportRow

MAX_MODULES = 20

_Key = tuple[Cause, str, str, int]


def import_section(rows: Sequence[ImportRow]) -> str:
    """Return the section, empty without rows."""
    if not rows:
        return ""
    failing = [row for row in rows if row.forecast == "fails"]
    guarded = sum(row.guarded and row.forecast == "ok" for row in rows)
    groups = grouped(failing)
    then = {row.module: row.then for row in failing}
    causes = "1 cause" if len(groups) == 1 else f"{len(groups)} causes"
    head = f"{causes}, {len(failing)} of {len(rows)} modules fail to import; {guarded} guard an import that fails."
    lines = [f"## Imports ({len(rows)})", "", head]
    for (cause, name, path, line), members in sorted(groups.items(), key=lambda each: (-len(each[1]), each[0])):
        modules = "1 module" if len(members) == 1 else f"{len(members)} modules"
        shown = ", ".join(code(member) for member in members[:MAX_MODULES])
        more = f" and {len(members) - MAX_MODULES} more" if len(members) > MAX_MODULES else ""
        missed = sorted({each for member in members for each in then[member]})
        next_missed = f"; then {markdown(', '.join(missed))}" if missed else ""
        lines += [
            "",
            f"- **{modules}**: {cause.in_words} {markdown(name)} at {code(f'{path}:{line}')}{next_missed}",
            f"  - {shown}{more}",
        ]
    return "\n".join(lines)


def grouped(failing: Sequence[ImportRow]) -> dict[_Key, list[str]]:
    """Return the failing modules by root cause; a package that is not installed is one, wherever it is missed."""
    places: dict[tuple[Cause, str], tuple[str, int]] = {}
    for row in failing:
        assert row.cause
        assert row.root
        key = (row.cause, row.root.name)
        if row.cause.is_of_the_environment:
            places[key] = min(places.get(key, (row.root.path, row.root.line)), (row.root.path, row.root.line))
    groups: dict[_Key, list[str]] = defaultdict(list)
    for row in failing:
        assert row.cause
        assert row.root
        place = places.get((row.cause, row.root.name), (row.root.path, row.root.line))
        groups[row.cause, row.root.name, *place].append(row.module)
    return groups
