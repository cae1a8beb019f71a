"""ATT019: a softmax over the bare product of queries and keys."""

import ast
import re
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.attention_forms import is_product, is_scores, softmax_input
from audit.static.rules.calls import CallRule
from audit.static.rules.context import MAX_STEPS, FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import last_name, method, receiver

_SCALES = re.compile(r"scal|sqrt|norm|temp|tau|gain|\*\*|cos|simil|inv_|math\.pow|logit", re.IGNORECASE)
_QUERY = re.compile(r"(?:^|_)(?:q|qs|query|queries)(?:_|$)", re.IGNORECASE)
_KEY = re.compile(r"(?:^|_)(?:k|ks|key|keys)(?:_|$)", re.IGNORECASE)
_SAME = frozenset({"float", "to", "contiguous", "masked_fill", "masked_fill_", "type_as"})
_MOVED = frozenset(
    {"transpose", "permute", "swapaxes", "swapdims", "t", "contiguous", "view", "reshape", "float", "to"}
)


class MissingScale(CallRule):
    """The variance of a product of two vectors of size d is d times that of their entries."""

    id = "ATT019"
    title = "Attention without a scale"
    severity = Severity.MAJOR
    what = (
        "Reports the softmax of a product of names that say query and key, where neither the function nor the "
        "`__init__` of its class mentions a scale, a root, a power, a norm or a temperature."
    )
    why = "The logits grow with the square root of the head size; the weights fall on one key and gradients vanish."
    fix = "multiply the product by head_dim ** -0.5, or use scaled_dot_product_attention"
    fix_safety = FixSafety.UNSAFE
    references = (
        "https://arxiv.org/abs/1706.03762",
        "https://github.com/lucidrains/x-transformers/issues/190",
    )
    words = ("softmax",)
    called = ("softmax",)
    VALID = (
        """
        import torch


        def attend(query, key, value):
            return torch.softmax(query @ key.mT * query.shape[-1] ** -0.5, dim=-1) @ value
        """,
        """
        import torch


        def attend(query, key, value):
            query = query / query.norm(dim=-1, keepdim=True)
            return torch.softmax(query @ key.mT, dim=-1) @ value
        """,
        """
        import torch


        def classify(features, prototypes):
            return torch.softmax(features @ prototypes.mT, dim=-1)
        """,
        """
        import torch
        from torch import nn


        class Attention(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.query = Projection(dim, scale=dim ** -0.5)

            def forward(self, q, k, v):
                return torch.softmax(self.query(q) @ k.mT, dim=-1) @ v
        """,
    )
    INVALID = (
        """
        import torch


        def attend(query, key, value):
            return torch.softmax(query @ key.transpose(-2, -1), dim=-1) @ value
        """,
        """
        from torch import nn


        class Attention(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.qkv = nn.Linear(dim, 3 * dim)

            def forward(self, x, mask):
                q, k, v = self.qkv(x).chunk(3, dim=-1)
                scores = q @ k.transpose(-2, -1)
                weights = scores.masked_fill(mask, float('-inf')).softmax(dim=-1)
                return weights @ v
        """,
        """
        import torch


        def attend(q, k, v):
            weights = torch.einsum('b h i d, b h j d -> b h i j', q, k).softmax(dim=-1)
            return torch.einsum('b h i j, b h j d -> b h i d', weights, v)
        """,
        """
        from torch import nn


        class Attention(nn.Module):
            def forward(self, x):
                weights = (self.query(x) @ self.key(x).transpose(-2, -1)).softmax(dim=-1)
                return weights @ self.value(x)
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a softmax of a product that nothing scales."""
        scores = softmax_input(call, context)
        function = context.function_of(call)
        if scores is None or function is None:
            return
        if "pattern" in function.name:  # what a rewriter of graphs looks for, no attention of a model
            return
        product = _bare_product(scores, context)
        if product is None:
            return
        query, key = product
        if not _QUERY.search(_name(query, context)) or not _KEY.search(_name(key, context)):
            return
        owner = context.class_of(function)
        inits = [each for each in owner.body if getattr(each, "name", "") == "__init__"] if owner else []
        if not any(_SCALES.search(ast.unparse(each)) for each in (function, *inits)):
            yield Spot(call, "the product of queries and keys goes into the softmax without a scale")


def _bare_product(expression: ast.expr, context: FileContext) -> tuple[ast.expr, ast.expr] | None:
    """Return both sides of the product that an expression is, masked or with something added, but never multiplied."""
    is_transposed = is_scores(expression, context)
    for _ in range(MAX_STEPS):
        expression = context.value_of(expression)
        match expression:
            case ast.Call(args=[ast.Constant(value=str(form)), left, right]) if _sums_over_the_last(form):
                return (left, right) if context.resolve(expression) == "torch.einsum" else None
            case ast.BinOp(op=ast.MatMult(), left=left, right=right):
                return (left, right) if is_transposed else None
            case ast.BinOp(op=ast.Add() | ast.Sub(), left=left):
                expression = left
            case ast.Call(args=[left, right, *_]) if is_product(expression, context):
                return (left, right) if is_transposed else None
            case ast.Call(args=[right]) if method(expression) == "matmul" and (of := receiver(expression)):
                return (of, right) if is_transposed else None
            case ast.Call() if method(expression) in _SAME and (of := receiver(expression)):
                expression = of
            case _:
                return None
    return None


def _sums_over_the_last(form: str) -> bool:
    """Return whether `form` is a product over the last axis of both: `bhid,bhjd->bhij`, `b i d, b j d -> b i j`."""
    found = re.fullmatch(r"([\w\s.]+),([\w\s.]+)->([\w\s.]+)", form)
    if not found:
        return False
    left, right, result = (side.split() if " " in side.strip() else list(side.strip()) for side in found.groups())
    return bool(left and right) and left[-1] == right[-1] and left[-1] not in result


def _name(expression: ast.expr, context: FileContext) -> str:
    """Return the name of one side of the product, or of what made it, before its axes were moved."""
    for _ in range(MAX_STEPS):
        match expression:
            case ast.Name(id=name):
                return name
            case ast.Attribute(attr="T" | "mT", value=value):
                expression = value
            case ast.Call() if method(expression) in _MOVED and (of := receiver(expression)):
                expression = of
            case ast.Call(func=function):
                return last_name(function)
            case _:
                return ""
    return ""
