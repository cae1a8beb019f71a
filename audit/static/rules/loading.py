"""Where what is loaded is this program's own."""

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
