"""Which methods of its bases a class never runs: those that it has in their place, and does not call from there."""

import ast
import re
from collections.abc import Sequence


def without_overridden(classes: Sequence[type], texts: Sequence[str]) -> list[tuple[str, frozenset[str]]]:
    """Return the text of each class less the methods that classes before it override, and the names of these.

    Args:
        classes: in the order in which methods are looked up.
        texts: their sources; where one has none, nothing is known of what it calls.
    """
    found: list[tuple[str, frozenset[str]]] = []
    defined: set[str] = set()
    for kind, text in zip(classes, texts, strict=True):
        before = "\n".join(each for each, _ in found)
        is_known = all(each for each, _ in found)
        names = {name for name in vars(kind) if is_known and name in defined and not _calls(before, name)}
        found.append((_without(text, names), frozenset(names)))
        defined |= vars(kind).keys()
    return found


def _calls(text: str, name: str) -> bool:
    """Whether a text calls a method of a base: `super().forward(x)`, `Base.forward(self, x)`."""
    return bool(re.search(rf"\bsuper\([^()]*\)\.{re.escape(name)}\b|\.{re.escape(name)}\(\s*self\b", text))


def _without(text: str, names: set[str]) -> str:
    """Return the text of a class without the lines of these methods; the others keep their places."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return text
    lines = text.splitlines()
    for node in body[0].body if body and isinstance(body[0], ast.ClassDef) else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in names:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            last = node.end_lineno or node.lineno
            lines[first - 1 : last] = [" " * node.col_offset + "pass", *[""] * (last - first)]
    return "\n".join(lines)
