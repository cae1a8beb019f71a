"""Registries that refuse a name which they have: a file that is run registers again what its package has registered."""

import ast
import re
from collections.abc import Iterator

from audit.static.scopes import dotted
from audit.static.tree import TreeIndex, walk

# Each begins with letters, which the search jumps to: a pattern that asks every line takes six times as long.
_MAY_REFUSE = (
    re.compile(r"if [\w.]+ in [\w.]+:(?:\s*#[^\n]*\n)*\s*raise\b"),
    re.compile(r"assert [\w.]+ not in\b"),
)
_REFUSING = "functional_datapipe"  # of torch.utils.data


def registrars(index: TreeIndex, text: str) -> tuple[str, ...]:
    """Return the functions of a module that raise where they are to register a name for the second time."""
    functions = [node for node in index.tree.body if isinstance(node, ast.FunctionDef)]
    if not functions or not (_REFUSING in index.vocabulary or (_may_refuse(index) and _says_so(text))):
        return ()
    return tuple(node.name for node in functions if _refuses(node))


def _may_refuse(index: TreeIndex) -> bool:
    """Return whether something asks whether a name is there, and raises: a quick look, for the text is long."""
    return any(
        isinstance(node, ast.Assert) or (isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise))
        for kind in (ast.Assert, ast.If)
        for node in index.by_type.get(kind, ())
        if node.test.__class__ is ast.Compare  # type: ignore[attr-defined]
    )


def _says_so(text: str) -> bool:
    return any(_begins_line(found) for each in _MAY_REFUSE for found in each.finditer(text))


def _begins_line(found: re.Match[str]) -> bool:
    """Return whether a match is the first thing on its line, but for the `el` of an `elif`."""
    start = found.start()
    before = found.string[found.string.rfind("\n", 0, start) + 1 : start]
    return before.strip(" \t") in ("", "el")


def _refuses(function: ast.FunctionDef) -> bool:
    stored: set[str] = set()
    asked: set[str] = set()
    for node in walk(function):
        match node:
            case ast.Call(func=called) if dotted(called).rpartition(".")[2] == _REFUSING:
                return True
            case ast.Assign(targets=[ast.Subscript(value=registry)]):
                stored.add(dotted(registry))
            case ast.If(test=ast.Compare(ops=[ast.In()], comparators=[registry]), body=[ast.Raise(), *_]):
                asked.add(dotted(registry))
            case ast.Assert(test=ast.Compare(ops=[ast.NotIn()], comparators=[registry])):
                asked.add(dotted(registry))
    return not (stored & asked).isdisjoint(stored - {""})


def decorated(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the decorators of a module's classes and functions: the line, and the name of what is called."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            for decorator in node.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(called, ast.Name):
                    yield decorator.lineno, called.id
