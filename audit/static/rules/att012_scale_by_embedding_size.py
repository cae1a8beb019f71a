"""ATT012: logits scaled by the size of all heads together."""

import ast
import re
from collections.abc import Iterator, Sequence

from audit.severity import Severity
from audit.static.rules.attention_forms import computes_attention
from audit.static.rules.context import FileContext
from audit.static.rules.head_sizes import inverse_root, is_of_all_heads, scaled_by
from audit.static.rules.rule import FixSafety, Rule, Spot
from audit.static.rules.syntax import self_attribute

_CALLED = ("softmax", "scaled_dot_product_attention")
_SCALE = re.compile(r"^(?:\w+_)?(?:scale|scaling)$")


class ScaleByEmbeddingSize(Rule):
    """The queries and keys of one head have `dim // heads` entries."""

    id = "ATT012"
    title = "Attention is scaled by the embedding size instead of the head size"
    severity = Severity.MAJOR
    what = (
        "Reports `self.scale = dim ** -0.5`, or 1 / sqrt(dim), in the `__init__` of a module that computes "
        "attention and divides the same `dim` by its number of heads, and logits that are divided by the root of such "
        "a size before their softmax."
    )
    why = "The logits are too small by the square root of the number of heads, and the weights too even."
    fix = "scale by the head size: (dim // heads) ** -0.5"
    fix_safety = FixSafety.UNSAFE
    references = (
        "https://github.com/lucidrains/vit-pytorch/issues/65",
        "https://github.com/FareedKhan-dev/train-llm-from-scratch/issues/3",
    )
    nodes = (ast.Assign, ast.Call)
    words = ("scal", "softmax")
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
        """
        import math

        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, width, heads):
                super().__init__()
                self.embed_dim = width // heads

            def forward(self, q, k, v):
                return torch.softmax(q @ k.mT / math.sqrt(self.embed_dim), -1) @ v
        """,
        """
        import math

        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, dim, heads):
                super().__init__()
                self.dim, self.head_dim = dim, dim // heads

            def forward(self, tokens, q, k, v):
                x = tokens * math.sqrt(self.dim)
                return x + torch.softmax(q @ k.mT / math.sqrt(self.head_dim), -1) @ v
        """,
        """
        import math

        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, heads):
                super().__init__()
                self.heads = heads

            def forward(self, x):
                B, T, C = x.shape
                q = x.view(B, T, self.heads, C // self.heads).transpose(1, 2)
                B, H, T, C = q.shape
                return torch.softmax(q @ q.mT / math.sqrt(C), -1) @ q
        """,
        """
        import math

        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, dim, heads):
                super().__init__()
                self.dim, self.heads, self.head_dim = dim, heads, dim // heads

            def forward(self, q, k, v, whole):
                scores = q @ k.mT
                if not whole:
                    scores = scores / math.sqrt(self.head_dim)
                else:
                    scores = scores / math.sqrt(self.dim)
                return torch.softmax(scores, -1) @ v
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
        """
        import math

        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, dim, heads):
                super().__init__()
                self.dim = dim
                self.head_dim = dim // heads

            def forward(self, q, k, v, mask):
                scores = q @ k.mT
                scores = scores / self.dim ** (1 / 2)
                if mask is not None:
                    scores = scores.masked_fill(mask == 0, -1e9)
                return torch.softmax(scores, -1) @ v
        """,
        """
        import math

        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, config):
                super().__init__()
                self.heads = config.heads

            def forward(self, x):
                B, T, C = x.size()
                q = x.view(B, T, self.heads, C // self.heads).transpose(1, 2)
                return torch.softmax(q @ q.transpose(-2, -1) * (1.0 / math.sqrt(C)), -1) @ q
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def __init__(self, embed_size, heads):
                super().__init__()
                self.embed_size = embed_size
                self.head_dim = int(embed_size / heads)

            def forward(self, q, k, v, mask):
                energy = torch.einsum("nqhd,nkhd->nhqk", [q, k])
                if mask is not None:
                    energy = energy.masked_fill(mask == 0, float("-1e20"))
                weights = torch.softmax(energy / (self.embed_size ** (1 / 2)), dim=3)
                return torch.einsum("nhql,nlhd->nqhd", [weights, v])
        """,
    )

    def candidates(self, context: FileContext) -> Sequence[ast.AST]:
        """Return the assignments to an attribute of `self`, and the calls that scaled logits go into."""
        calls = (call for name in _CALLED for call in context.calls_by_name.get(name, ()))
        return [*context.set_attributes, *calls]

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a scale made of the dividend of the head size."""
        function = context.function_of(node)
        owner = context.model_of(function)
        if function is None or owner is None:
            return
        match node:
            case ast.Assign(targets=[target], value=value) if _SCALE.match(self_attribute(target)):
                in_constructor = function.name == "__init__" and computes_attention(owner, context)
                size = inverse_root(value, context) if in_constructor else None
                place: ast.AST = node
            case ast.Call():
                place, size = scaled_by(node, context) or (node, None)
            case _:
                return
        if size is not None and is_of_all_heads(size, function, owner, context):
            yield Spot(place, f"the scale is made of `{ast.unparse(size)}`, the size of all heads together")
