"""The removal of a `# noqa` that silences nothing."""

import re

from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.rule import FixSafety

_ID = re.compile(r"[A-Za-z]+\d+")
_IDS = re.compile(r"[A-Za-z]+\d+(?:[\s,]+[A-Za-z]+\d+)*")


def unused_comment(start: int, end: int, unused: set[str], source: SourceText) -> Fix | None:
    """Return the edit that takes the ids `unused` out of the `# noqa` between two places.

    With the last id goes the comment; other words of it stay, and a line that held nothing else goes too.
    """
    text = source.text
    found = _IDS.search(text, text.index(":", start), end)
    if found is None:
        return None
    kept = [each for each in _ID.findall(found.group()) if each.upper() not in unused]
    if kept:
        separator = ", " if "," in found.group() else " "
        return fix([Edit(found.start(), found.end(), separator.join(kept))], FixSafety.SAFE)
    line_start, line_end = source.line_start(start), source.line_end(end)
    before, behind = text[line_start:start], text[end:line_end].strip()
    if behind.startswith("#"):  # another comment goes on behind it
        return fix([Edit(start, text.index("#", end), "")], FixSafety.SAFE)
    if behind:
        return fix([Edit(start, line_end, f"# {behind.lstrip(',:;.- ')}")], FixSafety.SAFE)
    if not before.strip():
        return fix([Edit(line_start, source.next_line(end), "")], FixSafety.SAFE)
    return fix([Edit(line_start + len(before.rstrip()), line_end, "")], FixSafety.SAFE)
