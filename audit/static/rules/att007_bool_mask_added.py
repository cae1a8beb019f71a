"""ATT007: a mask of booleans, or of zeros and ones, added to the scores."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.attention_forms import is_scores
from audit.static.rules.booleans import is_bool, is_zeros_and_ones
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.syntax import method, receiver

_CASTS = frozenset({"float", "half", "to", "type", "type_as", "int", "long", "double"})


class BoolMaskAdded(Rule):
    """Adding 0 and 1 to logits moves them by 1; it hides nothing."""

    id = "ATT007"
    title = "A mask of booleans or of zeros and ones added to the scores"
    severity = Severity.MAJOR
    what = (
        "Reports the sum of attention scores and something that is surely boolean, cast or not, or a triangle of ones."
    )
    why = "True and False count as 1 and 0: the masked positions keep nearly their whole weight."
    fix = "use scores.masked_fill(~keep, float('-inf')), or add a mask of 0 and -inf"
    references = (
        "https://github.com/vllm-project/speculators/issues/691",
        "https://github.com/pytorch/pytorch/issues/136816",
    )
    nodes = (ast.BinOp, ast.AugAssign)
    words = ("softmax", "scores", "attn")
    VALID = (
        """
        import torch


        def f(q, k, v, n):
            m = torch.triu(torch.full((n, n), float('-inf')), 1)
            return torch.softmax(q @ k.mT + m, -1) @ v
        """,
        """
        import torch


        def f(q, k, v, pad):
            s = q @ k.mT
            return torch.softmax(s + (pad == 0) * -1e9, -1) @ v
        """,
        """
        import torch


        def f(q, k, v, mask):
            return torch.softmax(q @ k.mT + mask, -1) @ v
        """,
    )
    INVALID = (
        """
        import torch


        def f(q, k, v, n, scale):
            m = torch.tril(torch.ones(n, n))
            return torch.softmax(q @ k.mT * scale + m, -1) @ v
        """,
        """
        import torch


        def f(q, k, v, pad):
            s = q @ k.transpose(-2, -1)
            return torch.softmax(s + (pad == 0).float(), -1) @ v
        """,
        """
        import torch


        def f(q, k, v, pad):
            keep = pad != 0
            return torch.softmax(torch.matmul(q, k.mT) + keep, -1) @ v
        """,
        """
        import torch


        def f(q, k, v, pad):
            scores = q @ k.transpose(-2, -1)
            scores = scores + (pad != 0)
            scores = scores.softmax(dim=-1)
            return scores @ v
        """,
        """
        import torch


        def f(q, k, v, n):
            scores = q @ k.transpose(-2, -1)
            scores += torch.tril(torch.ones(n, n))
            scores = scores.softmax(dim=-1)
            return scores @ v
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a sum of scores and booleans."""
        match node:
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                sums = [(left, right), (right, left)]
            case ast.AugAssign(op=ast.Add(), target=ast.Name() as target, value=value):
                sums = [(target, value)]
            case _:
                return
        for scores, mask in sums:
            if self._hides_nothing(mask, context) and self._are_scores(scores, context):
                yield Spot(node, "a mask of zeros and ones is added to attention scores")
                return

    def _hides_nothing(self, mask: ast.expr, context: FileContext) -> bool:
        if isinstance(mask, ast.Constant):  # most of what is added
            return False
        value = context.value_at(mask)
        inner = receiver(value) if isinstance(value, ast.Call) and method(value) in _CASTS else None
        candidates = [value] if inner is None else [value, inner]
        return any(is_bool(each, context) or is_zeros_and_ones(each, context) for each in candidates)

    def _are_scores(self, scores: ast.expr, context: FileContext) -> bool:
        return is_scores(scores, context)
