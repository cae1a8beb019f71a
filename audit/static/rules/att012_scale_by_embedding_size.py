"""ATT012: logits scaled by the size of all heads together."""

import ast
import re
from collections.abc import Iterator, Sequence

from audit.severity import Severity
from audit.static.rules.attention_forms import computes_attention
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Rule, Spot
from audit.static.rules.syntax import number, self_attribute

_HEADS = re.compile(r"head")
_SCALE = re.compile(r"^(?:\w+_)?(?:scale|scaling)$")


class ScaleByEmbeddingSize(Rule):
    """The queries and keys of one head have `dim // heads` entries."""

    id = "ATT012"
    title = "Attention is scaled by the embedding size instead of the head size"
    severity = Severity.MAJOR
    what = (
        "Reports `self.scale = dim ** -0.5`, or 1 / sqrt(dim), in the `__init__` of a module that computes "
        "attention and divides the same `dim` by its number of heads."
    )
    why = "The logits are too small by the square root of the number of heads, and the weights too even."
    fix = "scale by the head size: (dim // heads) ** -0.5"
    fix_safety = FixSafety.UNSAFE
    references = (
        "https://github.com/lucidrains/vit-pytorch/issues/65",
        "https://github.com/FareedKhan-dev/train-llm-from-scratch/issues/3",
    )
    nodes = (ast.Assign,)
    words = ("scal",)
    VALID = (
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, dim, heads):
                super().__init__()
                self.head_dim = dim // heads
                self.scale = self.head_dim ** -0.5

            def forward(self, q, k, v):
                return torch.softmax(q @ k.mT * self.scale, -1) @ v
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, dim):
                super().__init__()
                self.scale = dim ** -0.5

            def forward(self, q, k, v):
                return torch.softmax(q @ k.mT * self.scale, -1) @ v
        """,
    )
    INVALID = (
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, dim, heads):
                super().__init__()
                self.head_dim = dim // heads
                self.scale = dim ** -0.5

            def forward(self, q, k, v):
                return torch.softmax(q @ k.mT * self.scale, -1) @ v
        """,
        """
        import math

        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, dim, num_heads):
                super().__init__()
                self.d = dim // num_heads
                self.scale = 1.0 / math.sqrt(dim)

            def forward(self, q, k, v):
                return torch.softmax(torch.matmul(q, k.mT) * self.scale, -1) @ v
        """,
    )

    def candidates(self, context: FileContext) -> Sequence[ast.AST]:
        """Return the assignments to an attribute of `self`."""
        return context.set_attributes

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a scale made of the dividend of the head size."""
        match node:
            case ast.Assign(targets=[target], value=value) if _SCALE.match(self_attribute(target)):
                size = _rooted(value, context)
            case _:
                return
        function = context.function_of(node)
        owner = context.model_of(function)
        if size is None or function is None or owner is None or function.name != "__init__":
            return
        dividends = {
            ast.unparse(found.left)
            for found in context.index.below(function)
            if isinstance(found, ast.BinOp)
            and isinstance(found.op, ast.FloorDiv)
            and _HEADS.search(ast.unparse(found.right))
        }
        if ast.unparse(size) in dividends and computes_attention(owner, context):
            yield Spot(node, f"the scale is made of `{ast.unparse(size)}`, the size of all heads together")


def _rooted(value: ast.expr, context: FileContext) -> ast.expr | None:
    """Return x of `x ** -0.5` and of `1 / sqrt(x)`."""
    match value:
        case ast.BinOp(op=ast.Pow(), left=ast.Name() | ast.Attribute() as size, right=power) if number(power) == -0.5:
            return size
        case ast.BinOp(op=ast.Div(), left=one, right=ast.Call(args=[ast.Name() | ast.Attribute() as size]) as root):
            if number(one) == 1.0 and context.resolve(root) in ("math.sqrt", "numpy.sqrt"):
                return size
    return None
