"""Calls that are for an old version of torch, beside one for the others."""

import ast

from audit.static.rules.context import FileContext


def is_for_an_old_version(call: ast.Call, context: FileContext, name: str) -> bool:
    """Return whether `call` is what a function falls back to where the argument `name` is not known.

    It stands in a handler of a function that passes the argument, in the other branch of an `if` that does, or behind
    a branch that passes it and returns.
    """
    function = context.function_of(call)
    if function is None or not _passes_it(function, name):
        return False
    child: ast.AST = call
    for around in context.ancestors(call):
        if isinstance(around, ast.ExceptHandler):
            return True
        if isinstance(around, ast.If) and any(_passes_it(each, name) for each in _other_arm(around, child)):
            return True
        if around is function:
            break
        child = around
    earlier = function.body[: function.body.index(child)] if isinstance(child, ast.stmt) else []
    branches = (each for each in earlier if isinstance(each, ast.If | ast.Try) and _passes_it(each, name))
    return any(isinstance(node, ast.Return) for each in branches for node in ast.walk(each))


def _other_arm(branch: ast.If, child: ast.AST) -> list[ast.stmt]:
    if child in branch.orelse:
        return branch.body
    return branch.orelse if child in branch.body else []


def _passes_it(node: ast.AST, name: str) -> bool:
    return any(isinstance(each, ast.keyword) and each.arg == name for each in ast.walk(node))
