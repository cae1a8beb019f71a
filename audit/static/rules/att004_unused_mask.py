"""ATT004: a function that computes attention takes a mask and never looks at it."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.attention_forms import computes_attention, is_mask_name
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Precision, Rule, Spot
from audit.static.rules.syntax import is_stub, parameters


class UnusedMask(Rule):
    """Judged only where the function itself computes attention: elsewhere a common signature may ask for the mask."""

    id = "ATT004"
    title = "A mask that attention takes and never uses"
    severity = Severity.MAJOR
    what = (
        "Reports a parameter named as a mask that its function never reads, where that function holds a softmax "
        "and a matrix product, or calls `scaled_dot_product_attention`."
    )
    why = "Callers pass padding or a causal mask and get attention over everything, without an error."
    fix = "apply the mask, or take the parameter out so that passing one fails"
    references = (
        "https://github.com/huggingface/transformers/issues/47946",
        "https://github.com/huggingface/transformers/issues/36293",
    )
    precision = Precision(findings=6, sampled=6, false=0)
    nodes = (ast.FunctionDef, ast.AsyncFunctionDef)
    words = ("mask",)
    VALID = (
        """
        import torch


        def attend(q, k, v, mask):
            s = (q @ k.mT).masked_fill(~mask, float('-inf'))
            return torch.softmax(s, -1) @ v
        """,
        """
        import torch


        def mix(x, mask=None):
            return x
        """,
        """
        import torch


        def attend(q, k, v, mask=None):
            assert mask is None
            return torch.softmax(q @ k.mT, -1) @ v
        """,
        """
        import torch


        def attend(q, k, v, mask=None):
            raise NotImplementedError
        """,
    )
    INVALID = (
        """
        import torch


        def attend(q, k, v, mask):
            return torch.softmax(q @ k.mT, -1) @ v
        """,
        """
        import torch.nn.functional as F
        from torch import nn


        class A(nn.Module):
            def forward(self, q, k, v, attn_mask=None):
                return F.scaled_dot_product_attention(q, k, v)
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield the mask parameters that nothing in the function reads."""
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        masks = [each for each in parameters(node) if is_mask_name(each.arg)]
        if not masks or is_stub(node) or not computes_attention(node, context):
            return
        read = {found.id for found in context.index.below(node) if isinstance(found, ast.Name)}
        if not read & {"locals", "vars"}:
            for mask in masks:
                if mask.arg not in read:
                    yield Spot(mask, f"`{node.name}` computes attention and never uses its parameter `{mask.arg}`")
