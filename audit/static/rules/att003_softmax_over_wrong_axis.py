"""ATT003: attention weights that are not normalised over the keys."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.fixes.arguments import value_replaced
from audit.static.rules.attention_forms import is_product, is_scores, softmax_input
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import argument, constant, receiver


class SoftmaxOverWrongAxis(CallRule):
    """The product of queries and transposed keys has the keys on its last axis."""

    id = "ATT003"
    title = "Attention weights normalised over another axis than the keys"
    severity = Severity.MAJOR
    what = (
        "Reports a softmax over an axis other than the last of a product of queries and transposed keys, where the"
        " result multiplies the values as it is."
    )
    why = "The weights of one query do not sum to 1: the output depends on the other queries, later ones included."
    fix = "normalise over dim=-1"
    fix_safety = FixSafety.UNSAFE
    references = ("https://arxiv.org/abs/1706.03762",)
    words = ("softmax",)
    called = ("softmax",)
    VALID = (
        """
        import torch


        def attend(q, k, v):
            scores = q @ k.transpose(-2, -1)
            w = torch.softmax(scores, dim=-1)
            return w @ v
        """,
        """
        import torch


        def slots(q, k, v):
            w = (q @ k.transpose(-2, -1)).softmax(dim=-2)
            w = w / w.sum(dim=-1, keepdim=True)
            return w @ v
        """,
        """
        import torch


        def attend(q, k, v):
            scores = k @ q.transpose(-2, -1)
            w = torch.softmax(scores, dim=-2)
            return w.transpose(-2, -1) @ v
        """,
    )
    INVALID = (
        """
        import torch


        def attend(q, k, v, scale):
            scores = q @ k.transpose(-2, -1) * scale
            w = torch.softmax(scores, dim=-2)
            return w @ v
        """,
        """
        import torch
        import torch.nn.functional as F


        def attend(q, k, v, scale):
            return torch.matmul(F.softmax(torch.matmul(q, k.mT) * scale, dim=0), v)
        """,
        """
        def attend(q, k, v, scale, drop):
            attn = q @ k.transpose(-2, -1)
            attn = attn * scale
            attn = attn.softmax(dim=-2)
            return attn @ v
        """,
    )
    FIXED = (
        (
            """
            import torch


            def attend(q, k, v):
                scores = q @ k.transpose(-2, -1)
                w = torch.softmax(scores, dim=-2)  # the weights
                return w @ v
            """,
            """
            import torch


            def attend(q, k, v):
                scores = q @ k.transpose(-2, -1)
                w = torch.softmax(scores, dim=-1)  # the weights
                return w @ v
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a softmax over queries, heads or the batch, whose result goes into a product as it is."""
        scores = softmax_input(call, context)
        axis = argument(call, "dim", 0 if scores is receiver(call) else 1)
        dim = constant(axis)
        if scores is None or dim not in (-2, -3, -4, 0) or not is_scores(scores, context):
            return
        if self._is_left_factor(call, context):
            edits = value_replaced(call, axis, "-1", FixSafety.UNSAFE) if axis else None
            yield Spot(call, f"softmax over dim={dim}; the keys are on the last axis of the scores", edits=edits)

    def _is_left_factor(self, call: ast.Call, context: FileContext) -> bool:
        scope = context.index.scope(call)
        products = [node for node in context.index.own(scope) if is_product(node, context)]
        return any(context.value_at(left) is call for node in products if (left := _left(node, context)) is not None)


def _left(node: ast.AST, context: FileContext) -> ast.expr | None:
    if isinstance(node, ast.BinOp):
        return node.left
    if isinstance(node, ast.Call) and context.resolve(node):
        return node.args[0] if node.args else None
    return receiver(node) if isinstance(node, ast.Call) else None
