"""How attention is written: which expression is the product of queries and keys, which name is a mask."""

import ast
import re
from collections.abc import Callable

from audit.static.rules.context import MAX_STEPS, FileContext
from audit.static.rules.syntax import method, receiver

SDPA = "torch.nn.functional.scaled_dot_product_attention"
SOFTMAXES = frozenset({"torch.softmax", "torch.nn.functional.softmax", "torch.special.softmax"})
_PRODUCTS = frozenset({"torch.matmul", "torch.bmm", "torch.baddbmm"})
_TRANSPOSITIONS = frozenset({"transpose", "permute", "swapaxes", "swapdims", "t"})
_MASK_NAME = re.compile(r"^(?:\w+_)?mask(?:s)?$")
_UNCHANGED = frozenset({"float", "to", "contiguous", "masked_fill", "masked_fill_", "type_as", "clone"})


def is_mask_name(name: str) -> bool:
    """Return whether a name says that it is a mask: `mask`, `attn_mask`, `masks`."""
    return bool(_MASK_NAME.match(name))


def is_scores(expression: ast.expr, context: FileContext) -> bool:
    """Return whether an expression is surely the product of queries and transposed keys, scaled or masked or not."""
    for _ in range(MAX_STEPS):
        expression = context.value_at(expression)
        match expression:
            case ast.BinOp(op=ast.MatMult(), right=right):
                return _is_transposed(right, context)
            case ast.BinOp(op=ast.Mult() | ast.Div() | ast.Add() | ast.Sub(), left=left):
                expression = left
            case ast.Call(args=[_, right, *_]) if context.resolve(expression) in _PRODUCTS:
                return _is_transposed(right, context)
            case ast.Call(args=[right]) if method(expression) == "matmul":
                return _is_transposed(right, context)
            case ast.Call() if method(expression) in _UNCHANGED and (inner := receiver(expression)):
                expression = inner
            case _:
                return False
    return False


def _is_transposed(expression: ast.expr, context: FileContext) -> bool:
    expression = context.value_at(expression)
    if isinstance(expression, ast.Attribute) and expression.attr in ("T", "mT"):
        return True
    return method(expression) in _TRANSPOSITIONS


def is_product(node: ast.AST, context: FileContext) -> bool:
    """Return whether `node` is a matrix product."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.MatMult)
    return isinstance(node, ast.Call) and (context.resolve(node) in _PRODUCTS or method(node) == "matmul")


def softmax_input(call: ast.Call, context: FileContext) -> ast.expr | None:
    """Return what a call of softmax normalises, as a function or as a method; None for another call."""
    if context.resolve(call) in SOFTMAXES:
        given = call.args[0] if call.args else None
        named = [keyword.value for keyword in call.keywords if keyword.arg == "input"]
        return given or (named[0] if named else None)
    if method(call) == "softmax" and not context.resolve(call):
        return receiver(call)
    return None


def computes_attention(function: ast.AST, context: FileContext) -> bool:
    """Return whether a function holds a softmax and a matrix product, or calls torch's fused attention."""

    def holds(name: str, found: Callable[[ast.Call], bool]) -> bool:
        calls = context.calls_by_name.get(name, ())
        return any(context.index.is_below(call, function) and found(call) for call in calls)

    if holds(SDPA.rpartition(".")[2], lambda call: context.resolve(call) == SDPA):
        return True
    return holds("softmax", lambda call: softmax_input(call, context) is not None) and any(
        is_product(node, context) for node in context.index.below(function)
    )
