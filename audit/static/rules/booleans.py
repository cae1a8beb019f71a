"""Which expressions are surely tensors of booleans, or of zeros and ones."""

import ast

from audit.static.rules.context import MAX_STEPS, FileContext
from audit.static.rules.syntax import argument, method, receiver

_TRIANGLES = frozenset({"torch.tril", "torch.triu"})
_BOOL_FUNCTIONS = frozenset(
    {f"torch.{name}" for name in ("isnan", "isinf", "isfinite", "logical_not", "logical_and", "logical_or")}
)
_FILLED = frozenset({"torch.ones", "torch.zeros", "torch.full", "torch.ones_like", "torch.zeros_like", "torch.empty"})
_BOOL_METHODS = frozenset({"bool", "eq", "ne", "lt", "gt", "le", "ge", "logical_not", "logical_and", "logical_or"})
_SAME_VALUES = frozenset(
    {"unsqueeze", "view", "expand", "squeeze", "reshape", "transpose", "permute", "repeat", "clone"}
)
_SAME_VALUES |= {"expand_as", "contiguous", "cuda", "tril", "triu", "masked_fill"}


def is_bool(expression: ast.expr, context: FileContext) -> bool:
    """Return whether an expression is surely a tensor of booleans."""
    for _ in range(MAX_STEPS):
        expression = context.value_at(expression)
        match expression:
            case ast.Compare(ops=[ast.Eq() | ast.NotEq() | ast.Lt() | ast.Gt() | ast.LtE() | ast.GtE()]):
                return True
            case ast.UnaryOp(op=ast.Invert(), operand=operand) | ast.Subscript(value=operand):
                expression = operand
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr(), left=left):
                expression = left
            case ast.Call() as call:
                name = context.resolve(call)
                if name in _BOOL_FUNCTIONS or method(call) in _BOOL_METHODS or _bool_typed(call, context):
                    return True
                inner = call.args[0] if name in _TRIANGLES and call.args else receiver(call)
                if inner is None or (name not in _TRIANGLES and method(call) not in _SAME_VALUES):
                    return False
                expression = inner
            case _:
                return False
    return False


def is_zeros_and_ones(expression: ast.expr, context: FileContext) -> bool:
    """Return whether an expression is surely a triangle of ones: `torch.tril(torch.ones(n, n))` and its views."""
    for _ in range(MAX_STEPS):
        expression = context.value_at(expression)
        match expression:
            case ast.Call(args=[inner, *_]) if context.resolve(expression) in _TRIANGLES:
                return context.resolve(context.value_at(inner)) == "torch.ones"
            case ast.Subscript(value=inner):
                expression = inner
            case ast.Call() if method(expression) in _SAME_VALUES - {"masked_fill"} and (of := receiver(expression)):
                expression = of
            case _:
                return False
    return False


def _bool_typed(call: ast.Call, context: FileContext) -> bool:
    """Return whether a call makes or casts to `torch.bool`."""
    types = [argument(call, "dtype")]
    if method(call) in ("to", "type"):
        types += call.args
    elif context.resolve(call) not in _FILLED:
        return False
    return any(context.resolve(each) == "torch.bool" for each in types if each is not None)
