"""Edits that put another name of a library in the place of one: at each use, and in the import that brings it."""

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from audit.static.fixes.edits import Edit
from audit.static.fixes.importing import imported_from_elsewhere, reference
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.imports import Import
from audit.static.rules.rule import FixSafety

# The edits around a use, and how safe it is to rename it with them; None where it cannot be renamed.
Use = Callable[[ast.expr, FileContext, SourceText], tuple[list[Edit], FixSafety] | None]


def drop_in(node: ast.expr, context: FileContext, source: SourceText) -> tuple[list[Edit], FixSafety]:
    """Return no edits: the new name takes the same arguments and computes the same."""
    return [], FixSafety.SAFE


@dataclass(frozen=True, slots=True)
class Replacement:
    """What to write instead of a name. With `any_use` it may be renamed where it is not called, too."""

    name: str
    use: Use = drop_in
    any_use: bool = True


def call_of(node: ast.expr, context: FileContext) -> ast.Call | None:
    """Return the call of the function that `node` names."""
    parent = context.parent(node)
    return parent if isinstance(parent, ast.Call) and parent.func is node else None


def replaced_use(
    node: ast.expr, replacement: Replacement, context: FileContext, source: SourceText
) -> tuple[list[Edit], FixSafety] | None:
    """Return the edits for a use of a dotted name, and how safe they are."""
    around = replacement.use(node, context, source)
    named = reference(replacement.name, context, source, at=node, instead_of=node)
    if around is None or named is None:
        return None
    edits, safety = around
    if _is_replaced_at_run_time(node, context) or (not replacement.any_use and _is_compared(node, context)):
        safety = worst([safety, FixSafety.UNSAFE])
    text, imports = named
    return [*edits, *imports, Edit(source.start(node), source.end(node), text)], safety


def _is_compared(node: ast.expr, context: FileContext) -> bool:
    """Return whether the file asks for the class that a name stands for: the new one is another class."""
    qualified = context.resolve(node)
    name = qualified.rpartition(".")[2]
    return any(
        isinstance(each, ast.Attribute) and context.resolve(each) == qualified
        for asking in ("isinstance", "issubclass")
        for call in context.calls_by_name.get(asking, ())
        for each in ast.walk(call)
        if getattr(each, "attr", None) == name
    )


def _is_replaced_at_run_time(node: ast.expr, context: FileContext) -> bool:
    """Return whether the file puts something else in the place of a name: then the new name is not what was called."""
    name = context.resolve(node).rpartition(".")[2]
    stored = (not isinstance(getattr(each, "ctx", None), ast.Load) for each in context.attributes_by_name.get(name, ()))
    strings = (getattr(each, "value", None) for each in context.index.by_type.get(ast.Constant, ()))
    named = (isinstance(each, str) and each.rpartition(".")[2] == name for each in strings)
    return any(stored) or (("patch" in context.text or "setattr" in context.text) and any(named))


def replaced_import(
    found: Import, replacements: Mapping[str, Replacement], context: FileContext, source: SourceText
) -> tuple[list[Edit], FixSafety] | None:
    """Return the edits for an imported name and all its uses in the file; None where one of them cannot be edited.

    Where all names of the statement go to one other module, they go together.
    """
    together = [each for each in context.imports.imports if each.node is found.node]
    new = [replacements[each.qualified].name for each in together if each.qualified in replacements]
    if 1 < len(new) == len(found.node.names) and len({name.rpartition(".")[0] for name in new}) == 1:
        each = [_replaced(one, replacements[one.qualified], context, source, whole=True) for one in together]
        known = [one for one in each if one is not None]
        if len(known) == len(each):
            return [edit for edits, _ in known for edit in edits], worst(safety for _, safety in known)
    replacement = replacements.get(found.qualified)
    return _replaced(found, replacement, context, source, whole=False) if replacement else None


def rebound(found: Import, replacements: Mapping[str, Replacement], context: FileContext) -> frozenset[str]:
    """Return the names of the module that an edited import binds no more, or to something that is called otherwise."""
    if context.index.scope(found.node) is not context.index.tree:
        return frozenset()
    names = set()
    for each in context.imports.imports:
        new = replacements.get(each.qualified) if each.node is found.node else None
        if new is not None:
            is_kept = each.alias.asname is not None or new.name.rpartition(".")[2] == each.alias.name
            if not (new.any_use and is_kept):
                names.add(each.alias.asname or each.alias.name)
    return frozenset(names)


def _replaced(
    found: Import, replacement: Replacement, context: FileContext, source: SourceText, *, whole: bool
) -> tuple[list[Edit], FixSafety] | None:
    named = imported_from_elsewhere(found, replacement.name, context, source, whole=whole)
    old = found.alias.asname or found.alias.name
    if named is None or _is_exported(old, context):
        return None
    local, edits = named
    uses = [node for node in _uses(old, found.qualified, context) if not context.guarded_name(node)]
    mentioned = sum(_loads(node, old) for node in context.index.by_type.get(ast.Name, ()))
    if len(uses) != mentioned or not (uses or (local == old and replacement.any_use)):
        return None
    if any(isinstance(around, ast.JoinedStr) for node in uses for around in context.ancestors(node)):
        return None  # before Python 3.12 the places of what stands in an f-string are not those in the file
    each = [replacement.use(node, context, source) for node in uses]
    around = [one for one in each if one is not None]
    if len(around) != len(uses):
        return None
    for (use_edits, _), node in zip(around, uses, strict=True):
        edits = [*edits, *use_edits]
        if local != old:
            edits.append(Edit(source.start(node), source.end(node), local))
    return edits, worst(safety for _, safety in around)


def worst(safeties: Iterable[FixSafety]) -> FixSafety:
    """Return the least safe of several; of none it is safe."""
    order = (FixSafety.SAFE, FixSafety.UNSAFE, FixSafety.SUGGESTION)
    return order[max((order.index(each) for each in safeties), default=0)]


def _uses(name: str, qualified: str, context: FileContext) -> Sequence[ast.Name]:
    names = [node for node in context.index.by_type.get(ast.Name, ()) if isinstance(node, ast.Name)]
    return [node for node in names if _loads(node, name) and context.resolve(node) == qualified]


def _loads(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)


def _is_exported(name: str, context: FileContext) -> bool:
    """Return whether `__all__` or a type written as a string may name it: then other text than code would change."""
    strings = context.index.by_type.get(ast.Constant, ())
    return any(isinstance(value := getattr(node, "value", None), str) and value == name for node in strings)
