"""ATT001: `is_causal=True` together with a mask."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.fixes.arguments import value_replaced
from audit.static.rules.attention_forms import SDPA
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import argument, constant


class CausalFlagWithMask(CallRule):
    """Torch's fused attention takes one or the other."""

    id = "ATT001"
    title = "`is_causal=True` together with a mask"
    severity = Severity.MAJOR
    what = "Reports calls of torch's `scaled_dot_product_attention` that pass both a mask and `is_causal=True`."
    why = (
        "Torch's CPU and CUDA backends raise where a mask is given and the flag is set; other backends have "
        "dropped the mask. Where the mask is always None, the argument only looks as if it were used."
    )
    fix = "join the causal mask and the other one into one mask, or set is_causal only where there is no mask"
    fix_depends_on = "where the mask is causal already, the flag is what has to go"
    references = (
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html",
        "https://github.com/pytorch/pytorch/issues/131254",
        "https://github.com/pytorch/pytorch/issues/96941",
    )
    words = ("scaled_dot_product_attention",)
    called = ("scaled_dot_product_attention",)
    VALID = (
        """
        import torch.nn.functional as F

        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        """,
        """
        import torch.nn.functional as F

        y = F.scaled_dot_product_attention(q, k, v, m, is_causal=m is None)
        """,
        """
        import torch.nn.functional as F

        y = F.scaled_dot_product_attention(q, k, v, attn_mask=None, is_causal=True)
        """,
    )
    INVALID = (
        """
        import torch.nn.functional as F

        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=True)
        """,
        """
        from torch.nn.functional import scaled_dot_product_attention as sdpa

        y = sdpa(q, k, v, mask, 0.0, True)
        """,
    )
    FIXED = (
        (
            """
            import torch.nn.functional as F

            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=True)
            """,
            """
            import torch.nn.functional as F

            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=False)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call with both."""
        flag = argument(call, "is_causal", 5)
        if flag is None or context.resolve(call) != SDPA or constant(flag) is not True:
            return
        mask = argument(call, "attn_mask", 3)
        if mask is not None and constant(context.value_of(mask)) is not None:
            edits = value_replaced(call, flag, "False", FixSafety.SUGGESTION)
            yield Spot(call, "a mask and `is_causal=True` are passed together", edits=edits)
