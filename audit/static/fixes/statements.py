"""Edits that add whole lines, indented as the lines around them."""

import ast

from audit.static.fixes.edits import Edit
from audit.static.fixes.source import SourceText


def line_before(statement: ast.stmt, line: str, source: SourceText) -> list[Edit] | None:
    """Return the edits that put a line before a statement and its decorators; None where it shares its line."""
    decorators = getattr(statement, "decorator_list", [])
    first = min([source.start(statement), *(source.text.rindex("@", 0, source.start(each)) for each in decorators)])
    place = source.line_start(first)
    if source.text[place:first].strip():
        return None
    return [Edit(place, place, f"{source.indent(first)}{line}{source.line_break}")]


def line_after(statement: ast.stmt, line: str, source: SourceText) -> list[Edit] | None:
    """Return the edits that put a line behind a statement and its comment; None where it shares its line."""
    if not source.stands_alone(statement):
        return None
    place = source.line_end(source.end(statement))
    return [Edit(place, place, f"{source.line_break}{source.indent(source.start(statement))}{line}")]


def first_line(function: ast.FunctionDef, line: str, source: SourceText) -> list[Edit] | None:
    """Return the edits that make a line the first of a function, behind its docstring."""
    first = function.body[0]
    if source.line_of(source.start(first)) == function.lineno:
        return None
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return line_after(first, line, source) if is_docstring else line_before(first, line, source)
