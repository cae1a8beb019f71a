"""Edits of the arguments of a call that keep its comments, its layout and its trailing comma."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.rule import FixSafety


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument as written: `end` is behind its own parentheses, `comma` the place of the comma behind it."""

    name: str | None
    value: ast.expr
    start: int
    value_start: int
    end: int
    comma: int | None
    unpacked: bool = False

    def text(self, source: SourceText) -> str:
        """Return the value as written, its parentheses included."""
        return source.text[self.value_start : self.end]


def arguments_of(call: ast.Call, source: SourceText) -> list[Argument] | None:
    """Return the arguments of a call in their order; None for a lone generator, which has the call's parentheses."""
    nodes: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    nodes.sort(key=source.start)
    last = source.end(call) - 1
    if any(isinstance(node, ast.GeneratorExp) and source.end(node) > last for node in nodes):
        return None
    found = []
    position = opening(call, source) + 1
    for node in nodes:
        start = source.after_blank(position)
        keyword = node if isinstance(node, ast.keyword) else None
        value = keyword.value if keyword else node
        assert isinstance(value, ast.expr)
        value_start = source.after_blank(source.text.index("=", start) + 1) if keyword and keyword.arg else start
        end = _behind_parentheses(source.end(node), last, source)
        behind = source.after_blank(end)
        comma = behind if source.text[behind] == "," else None
        unpacked = isinstance(value, ast.Starred) or (keyword is not None and keyword.arg is None)
        name = keyword.arg if keyword else None
        found.append(Argument(name, value, start, value_start, end, comma, unpacked))
        position = end if comma is None else comma + 1
    return found


def opening(call: ast.Call, source: SourceText) -> int:
    """Return the place of the parenthesis that opens the arguments."""
    position = source.after_blank(source.end(call.func))
    while source.text[position] == ")":  # the function itself stands in parentheses
        position = source.after_blank(position + 1)
    assert source.text[position] == "("
    return position


def _behind_parentheses(end: int, last: int, source: SourceText) -> int:
    while (position := source.after_blank(end)) < last and source.text[position] == ")":
        end = position + 1
    return end


def find(arguments: Sequence[Argument], name: str, position: int | None = None) -> Argument | None:
    """Return the argument called `name`, or the one at `position`; None where it is not given by either."""
    for each in arguments:
        if each.name == name:
            return each
    positional = [each for each in arguments if each.name is None]
    if position is None or position >= len(positional) or any(each.unpacked for each in positional[: position + 1]):
        return None
    return positional[position]


def with_keyword(call: ast.Call, name: str, value: str, source: SourceText) -> list[Edit] | None:
    """Return the edits that add `name=value` as the last argument; None where that cannot be written."""
    arguments = arguments_of(call, source)
    if arguments is None or find(arguments, name):
        return None
    text = f"{name}={value}"
    if not arguments:
        place = opening(call, source) + 1
        return [Edit(place, place, text)]
    last = arguments[-1]
    if last.comma is None:
        return [Edit(last.end, last.end, f", {text}")]
    closing = source.end(call) - 1
    if source.line_of(last.comma) == source.line_of(closing):
        return [Edit(last.comma + 1, last.comma + 1, f" {text},")]
    place = source.line_end(last.comma)  # behind a comment that belongs to the argument before
    if source.after_blank(last.comma + 1) != closing:
        return None
    new_line = source.line_break + source.indent(last.start)
    return [Edit(place, place, f"{new_line}{text},")]


def with_first(call: ast.Call, value: str, source: SourceText, *, then: str = "") -> list[Edit] | None:
    """Return the edits that add a positional argument before the others; `then` goes before the one that was first."""
    arguments = arguments_of(call, source)
    if arguments is None:
        return None
    if not arguments:
        place = opening(call, source) + 1
        return [Edit(place, place, value)]
    first = arguments[0]
    separator = ", "
    own_line = source.line_of(first.start) != source.line_of(opening(call, source))
    if own_line and len(arguments) > 1 and source.line_of(arguments[1].start) != source.line_of(first.start):
        separator = "," + source.line_break + source.indent(first.start)
    return [Edit(first.start, first.start, value + separator + then)]


def without(call: ast.Call, removed: Sequence[Argument], source: SourceText) -> list[Edit] | None:
    """Return the edits that remove arguments; None where a comment would go with them."""
    arguments = arguments_of(call, source)
    if arguments is None:
        return None
    gone = {each.start for each in removed}
    edits: list[Edit] = []
    index = 0
    while index < len(arguments):
        first = last = index
        while last < len(arguments) and arguments[last].start in gone:
            last += 1
        index = last + 1
        if first == last:
            continue
        end = arguments[last - 1].end
        if last < len(arguments):
            edits.append(Edit(arguments[first].start, arguments[last].start, ""))
        elif first:
            edits.append(Edit(arguments[first - 1].end, end, ""))
        else:
            comma = arguments[-1].comma
            edits.append(Edit(arguments[0].start, end if comma is None else comma + 1, ""))
    return None if any("#" in source.text[each.start : each.end] for each in edits) else edits


def renamed(argument: Argument, text: str) -> list[Edit]:
    """Return the edits that put `text` in the place of an argument, its name included."""
    return [Edit(argument.start, argument.end, text)]


def keyword_added(call: ast.Call, name: str, value: str, safety: FixSafety) -> Callable[[SourceText], Fix | None]:
    """Return what works out the fix that adds `name=value`; a value in quotes gets those of the file."""

    def edits(source: SourceText) -> Fix | None:
        spelled = source.quoted(value[1:-1]) if value.startswith('"') else value
        return fix(with_keyword(call, name, spelled, source), safety)

    return edits


def value_replaced(call: ast.Call, value: ast.expr, text: str, safety: FixSafety) -> Callable[[SourceText], Fix | None]:
    """Return what works out the fix that puts `text` in the place of the value of an argument."""

    def edits(source: SourceText) -> Fix | None:
        found = [each for each in arguments_of(call, source) or () if each.value is value]
        return fix([Edit(each.value_start, each.end, text) for each in found], safety)

    return edits


def argument_removed(
    call: ast.Call, name: str, position: int | None, safety: FixSafety
) -> Callable[[SourceText], Fix | None]:
    """Return what works out the fix that takes an argument out."""

    def edits(source: SourceText) -> Fix | None:
        found = find(arguments_of(call, source) or (), name, position)
        return fix(without(call, [found], source), safety) if found else None

    return edits
