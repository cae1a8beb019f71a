"""Tables of lazy modules: `sys.modules[__name__] = _LazyModule(__name__, ..., _import_structure)` and its like.

The table is a dict of submodules, each with the names that the package takes from it on first use. It is read where
everything that changes it is literal; a table that is put together otherwise may hold any name.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from audit.static.scopes import dotted
from audit.static.tree import walk

_CLASS = "LazyModule"  # the end of the name of the class that replaces the module: transformers, diffusers, optimum
_CHANGING = frozenset({"append", "extend", "update", "setdefault"})
_ASKED = frozenset({ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Call})  # all that the patterns below match


@dataclass(frozen=True, slots=True)
class LazyTable:
    """Names with their submodules, those of the submodules among them. Not `complete`: there may be others."""

    origins: tuple[tuple[str, str], ...]
    complete: bool


def lazy_table(tree: ast.Module) -> LazyTable | None:
    """Return the table that the module is replaced with; None where it is not, or not with a named table."""
    asked = [node for node in walk(tree) if node.__class__ in _ASKED]
    name = next((found for node in asked for found in _replaced_with(node)), None)
    if name is None:
        return None
    origins: list[tuple[str, str]] = []
    complete = True
    for node in asked:
        for key, value in _changes(node, name):
            pairs = list(_pairs(key, value)) if value is not None else None
            complete = complete and pairs is not None and None not in pairs
            origins += [pair for pair in pairs or () if pair]
    return LazyTable(tuple(dict.fromkeys(origins)), complete and bool(origins))


def _replaced_with(node: ast.AST) -> Iterator[str]:
    """Yield the name of the table where a statement puts a lazy module in place of the module."""
    match node:
        case ast.Assign(targets=[ast.Subscript(value=place)], value=ast.Call(func=function, args=arguments)) if (
            dotted(place) == "sys.modules" and dotted(function).endswith(_CLASS) and len(arguments) > 2
        ):
            if isinstance(arguments[2], ast.Name):
                yield arguments[2].id


def _changes(node: ast.AST, name: str) -> Iterator[tuple[ast.expr | None, ast.expr | None]]:
    """Yield what a node gives the table, with the key that it is for; None for what cannot be followed."""
    match node:
        case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
            yield None, value
        case ast.AnnAssign(target=ast.Name(id=found), value=value) if found == name:
            yield None, value
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=found), slice=key)], value=value) if found == name:
            yield key, value
        case ast.AugAssign(target=ast.Subscript(value=ast.Name(id=found), slice=key), value=value) if found == name:
            yield key, value
        case ast.AugAssign(target=ast.Name(id=found)) if found == name:
            yield None, None
        case ast.Call(func=ast.Attribute(value=owner, attr=method), args=arguments) if method in _CHANGING:
            yield from _change_by_call(owner, method, arguments, name)


def _change_by_call(
    owner: ast.expr, method: str, arguments: list[ast.expr], name: str
) -> Iterator[tuple[ast.expr | None, ast.expr | None]]:
    match owner, method, arguments:
        case ast.Subscript(value=ast.Name(id=found), slice=key), ("append" | "extend"), [value] if found == name:
            yield key, ast.List([value]) if method == "append" else value
        case ast.Name(id=found), "update", [value] if found == name:
            yield None, value
        case ast.Name(id=found), _, _ if found == name:
            yield None, None


def _pairs(key: ast.expr | None, value: ast.expr) -> Iterator[tuple[str, str] | None]:
    """Yield the name and the submodule of each entry; None for one that is not literal."""
    if key is None:
        if not isinstance(value, ast.Dict):
            yield None
            return
        for each, names in zip(value.keys, value.values, strict=True):
            if each is None:
                yield None
            else:
                yield from _pairs(each, names)
        return
    if not (isinstance(key, ast.Constant) and isinstance(key.value, str)) or not isinstance(
        value, ast.List | ast.Tuple
    ):
        yield None
        return
    yield key.value.partition(".")[0], ""
    for element in value.elts:
        is_name = isinstance(element, ast.Constant) and isinstance(element.value, str)
        yield (str(element.value), key.value) if isinstance(element, ast.Constant) and is_name else None
