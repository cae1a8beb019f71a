"""Where what is loaded is this program's own, or the call is for an old version of torch."""

import ast

from audit.static.rules.context import FileContext

_SAVES = frozenset({"torch.save", "torch.serialization.save", "pickle.dump", "dill.dump", "joblib.dump"})


def is_round_trip(call: ast.Call, context: FileContext) -> bool:
    """Return whether the same function saved before to what `call` loads: nothing foreign can be in it."""
    function = context.function_of(call)
    loaded = _root(call.args[0]) if call.args else ""
    if function is None or not loaded:
        return False
    before = [node for node in ast.walk(function) if 0 < getattr(node, "lineno", 0) < call.lineno]
    saved = [node.lineno for node in before if isinstance(node, ast.Call) and _saves_to(node, loaded, context)]
    bound = [node.lineno for node in before if isinstance(node, ast.Name) and node.id == loaded and _is_store(node)]
    return bool(saved) and max(bound, default=0) <= max(saved)


def _saves_to(call: ast.Call, name: str, context: FileContext) -> bool:
    return len(call.args) > 1 and _root(call.args[1]) == name and context.resolve(call) in _SAVES


def _is_store(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _root(expression: ast.expr) -> str:
    """Return the first name of `file`, `file.name` and `file[0]`; empty for anything else."""
    while isinstance(expression, ast.Attribute | ast.Subscript):
        expression = expression.value
    return expression.id if isinstance(expression, ast.Name) else ""


def is_for_an_old_version(call: ast.Call, context: FileContext) -> bool:
    """Return whether `call` is what a function falls back to where `weights_only` is not known.

    It stands in a handler of a function that passes the argument, in the other branch of an `if` that does, or behind
    a branch that passes it and returns.
    """
    function = context.function_of(call)
    if function is None or not _passes_it(function):
        return False
    child: ast.AST = call
    for around in context.ancestors(call):
        if isinstance(around, ast.ExceptHandler):
            return True
        if isinstance(around, ast.If) and any(_passes_it(each) for each in _other_arm(around, child)):
            return True
        if around is function:
            break
        child = around
    earlier = function.body[: function.body.index(child)] if isinstance(child, ast.stmt) else []
    branches = (each for each in earlier if isinstance(each, ast.If | ast.Try) and _passes_it(each))
    return any(isinstance(node, ast.Return) for each in branches for node in ast.walk(each))


def _other_arm(branch: ast.If, child: ast.AST) -> list[ast.stmt]:
    if child in branch.orelse:
        return branch.body
    return branch.orelse if child in branch.body else []


def _passes_it(node: ast.AST) -> bool:
    return any(isinstance(each, ast.keyword) and each.arg == "weights_only" for each in ast.walk(node))
