"""Classes of modules whose forward is torch.nn.Module's own, which raises: they can be run in subclasses alone."""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from audit.static.inventory import InventoryItem
from audit.static.reading import tree_of

_FORWARD = "forward"
_MODULE = "torch.nn.Module"
# Bases that bring no forward.
_PLAIN = frozenset({_MODULE, "object", "builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol"})
REASON = "it has no forward, its own or a base's, so that it cannot be called: it runs in what is derived from it"
REASON_UNUSED = (
    "it has no forward, its own or a base's, so that it is no model by itself, and no method of it ran in what the "
    "specs declare"
)
Class = tuple[str, str]  # module, qualname


def without_forward(source: Path, items: Sequence[InventoryItem]) -> frozenset[Class]:
    """Return those of the classes of which the sources tell that they have no forward.

    One that may get it otherwise, by a base that is not among the classes, a decorator, a metaclass, or an attribute
    that is set, is not among them.

    Args:
        source: the folder that the items' paths are relative to.
        items: every class of modules of the target.
    """
    by_name = {f"{item.module}.{item.qualname}": item for item in items}
    parsed = cache(lambda path: tree_of(source / path))
    lacking = {
        name
        for name, item in by_name.items()
        if item.forward is None and item.bases and not _may_have_it(_class_named(parsed(item.path), item.qualname))
    }
    while others := {name for name in lacking if not _PLAIN.union(lacking).issuperset(by_name[name].bases)}:
        lacking -= others
    return frozenset((by_name[name].module, by_name[name].qualname) for name in lacking)


def only_derived_from(source: Path, items: Sequence[InventoryItem]) -> frozenset[Class]:
    """Return those of the classes without a forward that no model can be asked to use.

    A module without a forward is used by its other methods. One that has none of its own, or from which a class of the
    target is derived, is a base.
    """
    bases = {base for item in items for base in item.bases}
    lacking = without_forward(source, items)
    return frozenset(
        (item.module, item.qualname)
        for item in items
        if (item.module, item.qualname) in lacking
        and (f"{item.module}.{item.qualname}" in bases or not _has_methods(source, item))
    )


def _has_methods(source: Path, item: InventoryItem) -> bool:
    own = _class_named(tree_of(source / item.path), item.qualname)
    return own is not None and any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_") for node in own.body
    )


def _class_named(tree: ast.Module | None, qualname: str) -> ast.ClassDef | None:
    """Return the class of this name; None where there is none, or several of which one is meant."""
    if tree is None:
        return None
    found = [node for name, node in _classes(tree, "") if name == qualname]
    return found[0] if len(found) == 1 else None


def _classes(node: ast.AST, within: str) -> Iterator[tuple[str, ast.ClassDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield f"{within}{child.name}", child
            yield from _classes(child, f"{within}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _classes(child, f"{within}{child.name}.<locals>.")
        else:
            yield from _classes(child, within)


def _may_have_it(own: ast.ClassDef | None) -> bool:
    if own is None:
        return True
    metaclasses = [keyword for keyword in own.keywords if ast.unparse(keyword.value) not in ("ABCMeta", "abc.ABCMeta")]
    return bool(own.decorator_list or metaclasses) or any(_binds(node) for node in ast.walk(own))


def _binds(node: ast.AST) -> bool:
    """Whether it can give the name `forward` to something."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name in (_FORWARD, "__call__", "_call_impl")
        case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
            return name in (_FORWARD, "__call__", "_call_impl")
        case ast.alias(name=name, asname=asname):
            return _FORWARD in (name, asname)
        case ast.Constant(value=value):
            return value == _FORWARD
        case _:
            return False
