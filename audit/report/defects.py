"""Defects for reading: what is wrong, how it was seen, how to mend it, and how to see it again."""

import re
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from audit.report.document import Report
from audit.report.pictures import text_picture
from audit.report.text import code, counted, markdown, number, one_line, plain
from audit.results import Defect, Outcome, Result

FOLDER = "reproducers"
MADE_BEFORE = "made before"
_INDENT = " " * 9
_MAX_LISTED = 40
_NARROWEST = 40
_THREAD = re.compile(r"https://github\.com/[A-Za-z0-9_./-]+")


def counted_defects(report: Report) -> str:
    """Return how many defects there are, in how many subjects, and what failed beside; nothing where there is none."""
    if not report.defects:
        return ""
    subjects = {defect.id.rpartition("::")[0] for defect in report.defects}
    failures = [result for result in report.results if result.outcome is Outcome.FAILED]
    shown = sum(result.defect is not None for result in failures)
    others = len(failures) - shown
    return (
        f"{counted(len(report.defects), 'defect')} in {counted(len(subjects), 'subject')}, "
        f"shown by {counted(shown, 'failed check')}" + (f", and {counted(others, 'other failure')}" if others else "")
    )


def print_defects(report: Report, console: Console) -> None:
    """Print every defect with its place, measurement, pictures and reproducer."""
    for defect in report.defects[:_MAX_LISTED]:
        _print_defect(report, defect, console)
    if len(report.defects) > _MAX_LISTED:
        console.print(f"... and {len(report.defects) - _MAX_LISTED} more defects in the report")


def _print_defect(report: Report, defect: Defect, console: Console) -> None:
    head = Text()
    head.append(f"{'defect':8}", style="bold red")
    head.append(f" {one_line(defect.title)}", style="bold")
    head.append(f"  {one_line(defect.subject.name)}")
    head.append(f"  {place_of(defect)}", style="cyan")
    console.print(head, soft_wrap=True)
    for label, text in told(report, defect):
        console.print(Text(f"{_INDENT}{label}: {one_line(text, limit=1000)}"), soft_wrap=True)
    if defect.picture:
        for line in text_picture(defect.picture, width=max(console.width - len(_INDENT), _NARROWEST)):
            console.print(Text(_INDENT + line), soft_wrap=True)


def place_of(defect: Defect) -> str:
    """Return where a defect is, on one line; empty where that is not known."""
    place = defect.location
    return one_line(f"{place.path}:{place.line}" if place and place.line else place.path if place else "")


def told(report: Report, defect: Defect) -> Iterator[tuple[str, str]]:
    """Yield what there is to say about a defect, each with its label."""
    yield "seen", defect.explanation
    shown = shown_by(report, defect)
    if shown is not None and shown.evidence.measured is not None:
        evidence = shown.evidence
        measured = " ".join(filter(None, (number(evidence.measured), evidence.unit)))
        yield "measured", f"{measured}, bound {evidence.comparison or ''} {number(evidence.bound)}"
    further = [check for check in defect.checks if shown is None or check != shown.check]
    if further:
        yield "fails also", ", ".join(further)
    yield "why it matters", defect.why
    yield "fix", defect.fix
    if defect.related:
        yield MADE_BEFORE, ", ".join(defect.related)
    yield "reproduce", reproduction(defect)


def shown_by(report: Report, defect: Defect) -> Result | None:
    """Return the failure that shows a defect best."""
    results = (r for r in report.results if r.outcome is Outcome.FAILED and r.defect and r.defect.id == defect.id)
    return next((result for result in results if result.check == defect.checks[0]), None)


def reproduction(defect: Defect) -> str:
    """Return how to see the defect again."""
    if defect.reproducer is None:
        return f"no script: {defect.unreproduced}"
    found = defect.reproducer
    right = "must exceed" if found.must_exceed else "bound"
    return (
        f"python {FOLDER}/{found.file} TARGET ({found.case}: {number(found.measured)}, {right} {number(found.bound)}); "
        f"`--output DIR` writes it to DIR/{FOLDER}"
    )


def has_reproducers(report: Report) -> bool:
    """Whether scripts are written with the report."""
    return any(defect.reproducer for defect in report.defects)


def defects_section(report: Report) -> str:
    """Return the defects as a section of Markdown; empty where there is none."""
    if not report.defects:
        return ""
    lines = [f"## Defects ({len(report.defects)})", "", f"{counted_defects(report)}."]
    for defect in report.defects:
        lines += [
            "",
            f"### {markdown(defect.title)}: {code(defect.subject.name)} at {code(place_of(defect) or '-')}",
            "",
        ]
        for label, text in told(report, defect):
            lines.append(f"- {label}: {_linked(defect) if label == MADE_BEFORE else markdown(text)}")
        if defect.picture:
            lines += ["", f"{markdown(defect.picture.of)}:", ""]
            lines += [f"    {line}" for line in text_picture(defect.picture)]
        if defect.reproducer:
            lines += ["", f"{code(f'{FOLDER}/{defect.reproducer.file}')}:", ""]
            lines += [f"    {line}".rstrip() for line in plain(defect.reproducer.script).splitlines()]
    return "\n".join(lines)


def is_thread(address: str) -> bool:
    """Whether an address is one of those that a page may link to."""
    return _THREAD.fullmatch(address) is not None


def _linked(defect: Defect) -> str:
    return ", ".join(f"<{each}>" if is_thread(each) else markdown(each) for each in defect.related)
