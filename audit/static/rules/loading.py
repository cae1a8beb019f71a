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
    return any(
        isinstance(node, ast.Call)
        and len(node.args) > 1
        and node.lineno < call.lineno
        and _root(node.args[1]) == loaded
        and context.resolve(node) in _SAVES
        for node in ast.walk(function)
    )


def _root(expression: ast.expr) -> str:
    """Return the first name of `file`, `file.name` and `file[0]`; empty for anything else."""
    while isinstance(expression, ast.Attribute | ast.Subscript):
        expression = expression.value
    return expression.id if isinstance(expression, ast.Name) else ""


def is_for_an_old_version(call: ast.Call, context: FileContext) -> bool:
    """Return whether `call` is what a function falls back to where `weights_only` is not known.

    It stands in a branch or a handler, or behind one that returns, and the function passes the argument elsewhere.
    """
    function = context.function_of(call)
    if function is None:
        return False
    around = [call, *context.ancestors(call)]
    top = next(each for each in around if context.parent(each) is function)
    before = function.body[: function.body.index(top)] if isinstance(top, ast.stmt) and top in function.body else []
    if any(isinstance(each, ast.If | ast.Try) and _passes_it(each) for each in before):
        return True
    in_branch = any(isinstance(each, ast.If | ast.Try) for each in around[: around.index(top) + 1])
    return in_branch and _passes_it(function)


def _passes_it(node: ast.AST) -> bool:
    return any(isinstance(each, ast.keyword) and each.arg == "weights_only" for each in ast.walk(node))
