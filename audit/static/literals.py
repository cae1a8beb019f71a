"""String literals in a text that no parser takes: found by the rules of the newest Python, and taken out of the way."""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

_OPENING = re.compile(r"(?<!\w)([A-Za-z]{0,2})('''|\"\"\"|'|\")|['\"#]|\\\n")
_PREFIXES = frozenset({"", "r", "b", "u", "br", "rb", "f", "fr", "rf", "t", "tr", "rt"})
_MAX_DEPTH = 20  # f-strings in f-strings; CPython takes 150
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_ENDS_EXPRESSION = re.compile(r"=?\s*(?:![rsa]\s*)?[:}]")


class NotLiteralError(Exception):
    """The text cannot be told apart into literals and code."""


@dataclass(frozen=True, slots=True)
class Literal:
    """One literal: its prefix in lower case and its text. Of one with fields, the code in them, literals taken out."""

    prefix: str
    text: str
    fields: tuple[str, ...] = ()


def without_literals(text: str, found: Callable[[Literal], None]) -> str:
    """Return `text` with an empty literal of the same kind for each, and without comments; tell `found` of each.

    Line numbers stay. Raises `NotLiteralError` where a literal has no end.
    """
    code, end = _code(text, 0, found, until=None, depth=0)
    assert end == len(text)
    return code


def _code(text: str, start: int, found: Callable[[Literal], None], *, until: str | None, depth: int) -> tuple[str, int]:
    """Return the code from `start` without literals, and where it ends: at the end of a field, or of the text."""
    parts: list[str] = []
    brackets: list[str] = []
    place = start
    while True:
        if until is None:  # only literals and comments matter: jump from one to the next
            opening = _OPENING.search(text, place)
            if opening is None:
                return "".join((*parts, text[place:])), len(text)
            parts.append(text[place : opening.start()])
            place = opening.start()
        elif place >= len(text):
            raise NotLiteralError("a field without an end")
        else:
            if not brackets and _ENDS_EXPRESSION.match(text, place):
                return "".join(parts), place
            opening = _OPENING.match(text, place)
        if opening is None:
            sign = text[place]
            if sign in _BRACKETS:
                brackets.append(_BRACKETS[sign])
            elif brackets and sign == brackets[-1]:
                brackets.pop()
            parts.append(sign)
            place += 1
        elif opening[0] == "#":
            place = (text.find("\n", place) + len(text) + 1) % (len(text) + 1)
        elif opening[0] == "\\\n":
            parts.append(opening[0])
            place = opening.end()
        else:
            placeholder, place = _literal(text, opening, found, depth=depth)
            parts.append(placeholder)


def _literal(text: str, opening: re.Match[str], found: Callable[[Literal], None], *, depth: int) -> tuple[str, int]:
    """Return what stands for the literal that begins here, and where it ends."""
    prefix, quote = (opening[1] or "").lower(), opening[2] or opening[0]
    if prefix not in _PREFIXES or depth > _MAX_DEPTH:
        raise NotLiteralError(f"no literal begins with {prefix}")
    fields: list[str] = []
    place = opening.end()
    while not text.startswith(quote, place):
        if place >= len(text) or (text[place] == "\n" and len(quote) == 1):
            raise NotLiteralError("a literal without an end")
        if text[place] == "\\":
            place += 2
        elif set(prefix) & {"f", "t"} and text[place] in "{}":
            if text.startswith(("{{", "}}"), place):
                place += 2
            elif text[place] == "{":
                place = _field(text, place + 1, found, fields, depth=depth)
            else:
                raise NotLiteralError("a single } in a literal")
        else:
            place += 1
    place += len(quote)
    whole = text[opening.start() : place]
    found(Literal(prefix, whole, tuple(fields)))
    kind = "b" if "b" in prefix else ""
    lines = whole.count("\n")
    return (f"{kind}''" if not lines else f'{kind}"""' + "\n" * lines + '"""'), place


def _field(text: str, start: int, found: Callable[[Literal], None], fields: list[str], *, depth: int) -> int:
    """Note the code of the field that begins at `start`, and of those in its format; return where it ends."""
    code, place = _code(text, start, found, until="}", depth=depth + 1)
    fields.append(code)
    ending = _ENDS_EXPRESSION.match(text, place)
    assert ending
    place = ending.end()
    if ending[0].endswith("}"):
        return place
    while not text.startswith("}", place):  # the format, which may hold fields
        if place >= len(text):
            raise NotLiteralError("a field without an end")
        place = _field(text, place + 1, found, fields, depth=depth + 1) if text[place] == "{" else place + 1
    return place + 1


def parses(text: str) -> bool:
    """Whether the running interpreter takes `text` as a module."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
