"""A model that takes token ids is no attention itself: which classes of the inventory attend inside it.

What a class uses is read from the names in its source, through the files of its package that it imports. Nothing is
executed.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from audit.attention.named import attention_of
from audit.attention.spec.elsewhere import files_of_import, top_of
from audit.collected import Collected
from audit.static.inventory import InventoryItem
from audit.static.paths import paths_inside
from audit.static.reading import tree_of
from audit.target import Target

_MOST = 400  # definitions that are followed
_MOST_NESTED = 3  # classes between a model and its table of embeddings
_EMBEDDING = "Embedding"
_Place = tuple[Path, str]  # a file and a name at its top level; `*` stands for all of it


def token_lookup(path: Path, qualname: str) -> str | None:
    """Return the call with which a model's forward looks up its first input in a table of embeddings, else None."""
    tree = tree_of(path)
    return _lookup(tree.body, qualname.split("."), 0) if tree else None


def _lookup(body: Sequence[ast.stmt], names: Sequence[str], depth: int) -> str | None:
    top, found = body, None
    for name in names:
        found = next((each for each in reversed(body) if isinstance(each, ast.ClassDef) and each.name == name), None)
        if found is None:
            return None
        body = found.body
    assert found is not None
    forward = next((each for each in body if isinstance(each, ast.FunctionDef) and each.name == "forward"), None)
    arguments = [*forward.args.posonlyargs, *forward.args.args] if forward else []
    # What can be left out has something else in its place, as embeddings that are handed over.
    if forward is None or len(arguments) < 2 or len(forward.args.defaults) >= len(arguments) - 1:
        return None
    tables = {attribute for attribute, made in _parts(found) if _is_table(made, top, depth)}
    for call in ast.walk(forward):
        match call:
            case ast.Call(func=ast.Attribute(attr=attribute), args=[ast.Name(id=given), *_]):
                if attribute in tables and given == arguments[1].arg:
                    return ast.unparse(call)
    return None


def _parts(owner: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield the names of the layers that a class makes, on itself or in a dict of them, each with what is called."""
    for node in ast.walk(owner):
        match node:
            case ast.Assign(targets=[ast.Attribute(attr=name)], value=ast.Call(func=made)):
                yield name, ast.unparse(made)
            case ast.keyword(arg=str(name), value=ast.Call(func=made)):
                yield name, ast.unparse(made)
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(value, ast.Call):
                        yield key.value, ast.unparse(value.func)


def _is_table(made: str, top: Sequence[ast.stmt], depth: int) -> bool:
    if any(isinstance(each, ast.ClassDef) and each.name == made for each in top):
        return depth < _MOST_NESTED and _lookup(top, [made], depth + 1) is not None
    return made.rpartition(".")[2] == _EMBEDDING


def attention_inside(tree: Target, place: Path, qualname: str) -> list[InventoryItem]:
    """Return the inventory's attention that the class uses, in its file and in those of its package."""
    used = set(_used(place, qualname))
    files = sorted({path for path, _ in used if path.is_relative_to(tree.root)})
    collected = Collected(tree.limited_to(paths_inside(tree.root, files)), cache=True)
    try:
        items = attention_of(collected)
        source = collected.target.source
    finally:
        collected.close()
    own = (place, qualname)
    return [
        each
        for each in items
        if (source / each.path, each.qualname) != own
        and {(source / each.path, each.qualname.partition(".")[0]), (source / each.path, "*")} & used
    ]


def _used(place: Path, qualname: str) -> Iterator[_Place]:
    """Yield what a class uses, and what that uses, itself first."""
    top = top_of(place)
    waiting: list[_Place] = [(place, qualname.partition(".")[0])]
    seen: set[_Place] = set()
    while waiting and len(seen) < _MOST:
        each = waiting.pop(0)
        if each not in seen:
            seen.add(each)
            yield each
            waiting += _next(each, top)


def _next(each: _Place, top: Path) -> list[_Place]:
    path, name = each
    names = _names_of(path, top)
    if name == "*":
        return [(path, other) for other in names.nodes]
    found = [*names.imports.get(name, ()), *((file, name) for file, _ in names.imports.get("*", ()))]
    for node in names.nodes.get(name, ()):
        of_modules: set[ast.expr] = set()
        for inner in ast.walk(node):  # a node before those below it
            match inner:
                case ast.Attribute(value=ast.Name(id=module) as owner, attr=attribute) if module in names.imports:
                    found += [(file, attribute) for file, what in names.imports[module] if what == "*"]
                    of_modules |= {owner} if any(what == "*" for _, what in names.imports[module]) else set()
                case ast.Name(id=used) if inner not in of_modules:
                    found.append((path, used))
    return found


@dataclass(frozen=True)
class _Names:
    """What the names at the top level of a file stand for: nodes of its own, and names of other files."""

    nodes: Mapping[str, list[ast.AST]]
    imports: Mapping[str, list[_Place]]


@cache
def _names_of(path: Path, top: Path) -> _Names:
    nodes: dict[str, list[ast.AST]] = {}
    imports: dict[str, list[_Place]] = {}
    tree = tree_of(path)
    for node in _statements(tree.body) if tree else ():
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                nodes.setdefault(name, []).append(node)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, ast.Name):
                        nodes.setdefault(target.id, []).append(value)
    for each in ast.walk(tree) if tree else ():
        if isinstance(each, ast.Import | ast.ImportFrom):
            for alias in each.names:
                bound = alias.asname or alias.name.partition(".")[0]
                imports.setdefault(bound, []).extend(files_of_import(each, alias, path, top))
    return _Names(nodes, imports)


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body, in any of its branches."""
    for node in body:
        match node:
            case ast.If(body=inner, orelse=other):
                yield from _statements([*inner, *other])
            case ast.Try(body=inner, handlers=handlers, orelse=other):
                yield from _statements([*inner, *(each for one in handlers for each in one.body), *other])
            case _:
                yield node
