"""Writes docs/reference: what every rule, property and check says of itself.

    python tests/tools/write_reference.py [FOLDER]

`make reference` does the same. Checks are found by their modules, so that one that is added is in the next reference.
"""

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import ModuleType

from audit.probe.server import procedures_by_name
from audit.results import Check
from audit.static.rules.registry import own_rules
from audit.static.rules.rule import CORPUS, MEASURED_ON, FixSafety, Rule

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
PROPERTIES = "attention"
PACKAGES = ("audit", "validation")
HEAD = "<!-- Written by `make reference` from the sources; edit those. -->\n"


def modules() -> Iterator[tuple[ModuleType, str, str]]:
    """Yield the modules that make a check, each with its path and text."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            path, text = file.relative_to(ROOT), file.read_text(encoding="utf-8")
            if "Check(" in text:
                yield importlib.import_module(".".join(path.with_suffix("").parts)), path.as_posix(), text


def checks() -> Mapping[str, tuple[Check, str]]:
    """Return each check with the path of the file that defines it, by its id."""
    found: dict[str, tuple[Check, str]] = {}
    for module, path, text in modules():
        for value in vars(module).values():
            for each in value if isinstance(value, tuple | list) else (value,):
                # Others import a check too; the file whose text holds its id defines it.
                if isinstance(each, Check) and (each.id not in found or f'"{each.id}"' in text):
                    found[each.id] = (each, path)
    return dict(sorted(found.items()))


def cell(text: str) -> str:
    """Return a text as what stands in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def check_lines(check: Check, path: str, heading: str) -> Iterator[str]:
    """Yield the section of a check."""
    yield f"{heading} `{check.id}`\n"
    yield f"{check.title}. Severity `{check.severity}`, [{path}](../../{path}).\n"
    yield f"A pass proves: {check.proves}\n"
    yield f"Must catch: {check.defect}.\n"


def properties_page(found: Mapping[str, tuple[Check, str]]) -> str:
    """Return the page of the properties of attention."""
    lines = [HEAD, "# Properties of attention\n", "[How their bounds are derived](../how-bounds-are-derived.md).\n"]
    for check, path in found.values():
        if check.area == PROPERTIES:
            lines += check_lines(check, path, "##")
    return "\n".join(lines)


def checks_page(found: Mapping[str, tuple[Check, str]]) -> str:
    """Return the page of all checks that are neither rules nor properties of attention."""
    others = [each for each in found.values() if each[0].area not in (PROPERTIES, "rules")]
    lines = [HEAD, "# Checks by area\n"]
    lines.append("Rules are in [rules.md](rules.md), properties of attention in [properties.md](properties.md).\n")
    for area, group in groupby(others, key=lambda each: each[0].area):
        lines.append(f"## {area}\n")
        for check, path in group:
            lines += check_lines(check, path, "###")
    return "\n".join(lines)


def fix_of(rule: Rule) -> str:
    """Return who makes a rule's fix."""
    if not rule.FIXED:
        return "by hand"
    return "suggested" if rule.fix_safety is FixSafety.SUGGESTION else rule.fix_safety.value


def rules_page() -> str:
    """Return the page of the rules: a table, and what each does and why."""
    rules = own_rules()
    lines = [HEAD, "# Rules\n", "`astrobio-audit explain ID` shows a rule with examples and its references.\n"]
    lines.append(f"False alarms were counted on {CORPUS} ({MEASURED_ON}).\n")
    lines += ["| id | severity | default | fix | title |", "|---|---|---|---|---|"]
    for rule in rules:
        state = "on" if rule.default_on else "off"
        lines.append(
            f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {state} | {fix_of(rule)} | {cell(rule.title)} |"
        )
    lines.append("")
    for rule in rules:
        counted = rule.precision
        lines += [f"## {rule.id}\n", f"{rule.title}.\n", f"{rule.what}\n", f"Why: {rule.why}\n", f"Fix: {rule.fix}.\n"]
        if rule.fix_depends_on:
            lines.append(f"How safe the edit is: {rule.fix_depends_on}.\n")
        if not rule.default_on:
            lines.append(f"Off by default: {rule.off_because}.\n")
        lines.append(
            f"Findings on those packages: {counted.findings}; read by hand: {counted.sampled}; "
            f"false among these: {counted.false}.\n"
        )
    return "\n".join(lines)


def probe_page() -> str:
    """Return the page of what can be called in the target's process."""
    lines = [HEAD, "# What a check calls in the target's process\n"]
    lines.append(
        "`run.probe.call(NAME, **arguments)` and, on a model, `model.call_on_batch(run, NAME, **arguments)`, which has "
        "`specs`, `name`, `seed` and `batch_size` of it. Arguments and replies are plain data; tensors come as bytes, "
        "which `tensors_of` reads. What the target raises is raised as `TargetRaised`. [Plug-ins](../plug-ins.md) may "
        "call all of these; from one minor version to the next they may change.\n"
    )
    for name, procedure in sorted(procedures_by_name().items()):
        text = inspect.getdoc(procedure) or ""
        taken = ", ".join(inspect.signature(procedure).parameters)
        what, _, rest = text.partition("\n\n")
        lines += [f"## `{name}`\n", f"`{taken}`\n" if taken else "", " ".join(what.split()) + "\n"]
        if "Returns:\n" in rest:
            returned = rest.partition("Returns:\n")[2].partition("\n\n")[0]
            lines.append(f"Returns {' '.join(returned.split())}\n")
    return "\n".join(line for line in lines if line)


def pages() -> Mapping[str, str]:
    """Return the text of every page by its file's name."""
    found = checks()
    return {
        "rules.md": rules_page(),
        "properties.md": properties_page(found),
        "checks.md": checks_page(found),
        "probe.md": probe_page(),
    }


def main() -> None:
    """Write the pages."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
