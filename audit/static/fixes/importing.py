"""How a file can name something of a library: by what it imports already, or by one import more."""

import ast
import re

from audit.static.fixes.edits import Edit
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.imports import Import

_FROM = re.compile(r"from[ \t]+")


def reference(
    qualified: str, context: FileContext, source: SourceText, *, at: ast.AST, instead_of: ast.expr | None = None
) -> tuple[str, list[Edit]] | None:
    """Return an expression for a full dotted name at a node, and the edits that make it one.

    The begin of `instead_of`, a dotted name that stands there now, is kept where it leads to the new name too. Else an
    import of the file is used, else the library is imported at the top. None where its name stands for something else.
    """
    prefix = instead_of.value if isinstance(instead_of, ast.Attribute) else None
    while prefix is not None:
        known = context.resolve(prefix)
        if known and qualified.startswith(f"{known}."):
            return source.of(prefix) + qualified[len(known) :], []
        prefix = prefix.value if isinstance(prefix, ast.Attribute) else None
    if known_by := _imported(qualified, context, at=at):
        return known_by, []
    root = qualified.partition(".")[0]
    if root in context.bound_names or _is_used(root, context):
        return None
    return qualified, [_new_import(root, context, source)]


def _imported(qualified: str, context: FileContext, *, at: ast.AST) -> str:
    """Return the name by way of an import at the top of the file that stands before the node."""
    top = set(context.index.tree.body)
    line = getattr(at, "lineno", 0)
    for found in context.imports.imports:
        if found.node not in top or found.node.lineno >= line:
            continue
        bound = found.alias.asname or found.alias.name.partition(".")[0]
        meant = context.imports.resolve_at(bound, at)
        if meant and (qualified == meant or qualified.startswith(f"{meant}.")):
            return bound + qualified[len(meant) :]
    return ""


def _is_used(name: str, context: FileContext) -> bool:
    return any(getattr(node, "id", None) == name for node in context.index.by_type.get(ast.Name, ()))


def _new_import(module: str, context: FileContext, source: SourceText) -> Edit:
    """Return the edit that imports a module before the first import that is not from `__future__`."""
    body = context.index.tree.body
    behind: ast.stmt | None = None
    for statement in body:
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        is_docstring = statement is body[0] and isinstance(statement, ast.Expr)
        if isinstance(statement, ast.Import | ast.ImportFrom) and not is_future:
            place = source.line_start(source.start(statement))
            return Edit(place, place, f"import {module}{source.line_break}")
        if is_future or is_docstring:
            behind = statement
    if behind is None:
        place = source.line_start(source.start(body[0]))
        return Edit(place, place, f"import {module}{source.line_break}")
    place = source.line_end(source.end(behind))
    return Edit(place, place, f"{source.line_break}import {module}")


def imported_from_elsewhere(
    found: Import, qualified: str, context: FileContext, source: SourceText, *, whole: bool = False
) -> tuple[str, list[Edit]] | None:
    """Return the edits that make a `from` import bring another name, and by which name the file then knows it.

    With `whole`, all names of the statement go to the same module. None where the import is no plain `from` import, or
    where something else of the file would have to change.
    """
    node, alias = found.node, found.alias
    if not isinstance(node, ast.ImportFrom) or node.level or node.module is None:
        return None
    module, _, name = qualified.rpartition(".")
    local = alias.asname or name
    if local not in (alias.asname, alias.name) and (local in context.bound_names or _is_used(local, context)):
        local = alias.name
    spelled = name if local == name else f"{name} as {local}"
    rename = Edit(source.start(alias), source.end(alias), spelled)
    if module == node.module:
        return local, [rename]
    if whole or len(node.names) == 1:
        edit = _other_module(node, module, source)
        return (local, [edit, *([] if spelled == source.of(alias) else [rename])]) if edit else None
    removal = _without_alias(node, alias, source)
    if removal is None or not source.stands_alone(node):
        return None
    place = source.line_end(source.end(node))
    statement = f"{source.line_break}{source.indent(source.start(node))}from {module} import {spelled}"
    return local, [removal, Edit(place, place, statement)]


def _other_module(node: ast.ImportFrom, module: str, source: SourceText) -> Edit | None:
    start = source.start(node)
    found = _FROM.match(source.text, start)
    old = node.module or ""
    if found is None or not source.text.startswith(old, found.end()):  # a line continuation, or spaces in the name
        return None
    return Edit(found.end(), found.end() + len(old), module)


def _without_alias(node: ast.ImportFrom, alias: ast.alias, source: SourceText) -> Edit | None:
    index = node.names.index(alias)
    if index + 1 < len(node.names):
        edit = Edit(source.start(alias), source.start(node.names[index + 1]), "")
    else:
        edit = Edit(source.end(node.names[index - 1]), source.end(alias), "")
    return None if "#" in source.text[edit.start : edit.end] else edit
