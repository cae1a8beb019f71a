"""What a name was surely bound to last before it is read, as far as the blocks around the read tell."""

import ast
from typing import TYPE_CHECKING

from audit.static.rules.syntax import statements_before

if TYPE_CHECKING:
    from audit.static.rules.context import FileContext

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_TRIES = (ast.Try, ast.TryStar)


def last_binding(name: ast.Name, context: "FileContext") -> ast.expr | None:
    """Return the value of the assignment that surely was the last to bind `name`; None where there is none such.

    Statements before the read are looked through, in its block and in the blocks around it. One that binds the name in
    any other way than `name = value` ends the search, and so does a loop or `try` around the read that binds it.
    """
    function = context.function_of(name)
    if function is None:
        return None
    node: ast.AST = context.statement_of(name)
    while node is not function:
        if isinstance(node, ast.stmt):
            for before in reversed(statements_before(context.block_of(node), node)):
                if _binds(before, name.id, context):
                    return _value(before, name.id)
        around = context.parent(node)
        if isinstance(around, (*_LOOPS, *_TRIES)) and _binds(around, name.id, context):
            return None
        node = around
    return None


def _binds(statement: ast.AST, name: str, context: "FileContext") -> bool:
    for node in context.index.below(statement):
        match node:
            case ast.Name(id=found, ctx=ast.Store() | ast.Del()):
                pass
            case ast.FunctionDef(name=found) | ast.AsyncFunctionDef(name=found) | ast.ClassDef(name=found):
                pass
            case ast.ExceptHandler(name=str(found)) | ast.MatchAs(name=str(found)) | ast.MatchStar(name=str(found)):
                pass
            case ast.alias(name=original, asname=alias):
                found = alias or original.partition(".")[0]
            case _:
                continue
        if found == name:
            return True
    return False


def _value(statement: ast.AST, name: str) -> ast.expr | None:
    match statement:
        case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
            return value
        case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
            return value
    return None
