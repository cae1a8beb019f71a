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
                if context.binds(before, name.id):
                    return _value(before, name.id)
        around = context.parent(node)
        if isinstance(around, (*_LOOPS, *_TRIES)) and context.binds(around, name.id):
            return None
        node = around
    return None


def _value(statement: ast.AST, name: str) -> ast.expr | None:
    match statement:
        case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
            return value
        case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
            return value
    return None
