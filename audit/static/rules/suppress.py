"""`# noqa` comments: which findings they silence, and which of them silence nothing."""

import ast
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from audit.static.findings import NoqaComment
from audit.static.lines import lines_of
from audit.static.tree import TreeIndex

NOQA = re.compile(
    r"#\s*noqa(?P<colon>\s*:\s*(?P<ids>[A-Z][A-Z0-9]*[0-9]+(?:[\s,]+[A-Z][A-Z0-9]*[0-9]+)*)?)?", re.IGNORECASE
)
_STRINGS = (ast.Constant, ast.JoinedStr, *([ast.TemplateStr] if hasattr(ast, "TemplateStr") else []))
_ID = re.compile(r"[A-Za-z]+\d+")
# The middle of the word: looking for four rare pairs of letters takes a tenth of putting a text into lower case.
_MIDDLES = ("oq", "oQ", "Oq", "OQ")


def noqa_comments(text: str, index: TreeIndex) -> list[NoqaComment]:
    """Return the `# noqa` comments of a file, whose tree `index` holds; text in a string is none."""
    if not any(middle in text for middle in _MIDDLES):
        return []
    numbers = [number for number, line in enumerate(lines_of(text.lower()), start=1) if "noqa" in line]
    return list(_comments(numbers, lines_of(text), _strings_on(numbers, index))) if numbers else []


def _strings_on(numbers: Sequence[int], index: TreeIndex) -> Mapping[int, list[ast.AST]]:
    """Return the strings and other constants that stand on each of the sorted lines, in whole or in part."""
    found: dict[int, list[ast.AST]] = {number: [] for number in numbers}
    for node in (node for kind in _STRINGS for node in index.by_type.get(kind, ())):
        first, last = _lines_of(node)
        if first == last:
            if first in found:
                found[first].append(node)
        else:
            for number in numbers[bisect_left(numbers, first) : bisect_right(numbers, last)]:
                found[number].append(node)
    return found


def _comments(
    numbers: Iterable[int], lines: Sequence[str], strings: Mapping[int, list[ast.AST]]
) -> Iterator[NoqaComment]:
    for number in numbers:
        line = lines[number - 1]
        start = _start_of_comment(line, number, strings[number])
        found = NOQA.search(line, start) if start >= 0 else None
        if found:
            ids = tuple(each.upper() for each in _ID.findall(found["ids"] or ""))
            if found["colon"] and not ids:
                continue  # a colon with words behind it names no rule; silencing all of them is not what it says
            yield NoqaComment(line=number, column=found.start() + 1, end_column=found.end() + 1, ids=ids)


def _start_of_comment(line: str, number: int, strings: Iterable[ast.AST]) -> int:
    """Return where the comment of a line starts: at the first `#` that is in no string; -1 where there is none."""
    spans = [_columns(node, line, number) for node in strings]
    start = line.find("#")
    while start >= 0 and any(first <= start < last for first, last in spans):
        start = line.find("#", start + 1)
    return start


def _lines_of(node: ast.AST) -> tuple[int, int]:
    line = getattr(node, "lineno", 0)
    return line, getattr(node, "end_lineno", None) or line


def _columns(node: ast.AST, line: str, number: int) -> tuple[int, int]:
    """Return where in a line the text of a node starts and ends, in characters."""
    first, last = _lines_of(node)
    start = getattr(node, "col_offset", 0) if number == first else 0
    encoded = line.encode()
    end = getattr(node, "end_col_offset", 0) if number == last else len(encoded)
    return len(encoded[:start].decode(errors="ignore")), len(encoded[:end].decode(errors="ignore"))


def silencing(
    comments: Iterable[NoqaComment], names: tuple[str, ...], *, first: int, last: int
) -> list[tuple[NoqaComment, str]]:
    """Return the comments on the lines `first` to `last` that silence a rule which goes by `names`, each with the name.

    A comment without ids silences by every name.
    """
    return [
        (each, name)
        for each in comments
        if first <= each.line <= last
        for name in names
        if not each.ids or name in each.ids
    ]
