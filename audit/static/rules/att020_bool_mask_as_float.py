"""ATT020: a mask of booleans cast to float for fused attention."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.attention_forms import SDPA
from audit.static.rules.booleans import is_bool, is_zeros_and_ones
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import argument, method, receiver

_CASTS = frozenset({"float", "half", "bfloat16", "double", "to", "type", "type_as"})


class BoolMaskAsFloat(CallRule):
    """Fused attention adds a mask of floats to the logits; only one of booleans hides."""

    id = "ATT020"
    title = "A mask of booleans is cast to float for fused attention"
    severity = Severity.MAJOR
    what = (
        "Reports `scaled_dot_product_attention` whose mask is surely boolean and cast to another type, or a "
        "triangle of ones that is not boolean."
    )
    why = (
        "True and False become 1 and 0 and are added to the logits: the masked positions keep nearly all their weight."
    )
    fix = "pass the boolean mask itself (True: attend), or one of 0 and -inf"
    fix_safety = FixSafety.UNSAFE
    references = (
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html",
        "https://github.com/pytorch/pytorch/issues/92554",
    )
    words = ("scaled_dot_product_attention",)
    called = ("scaled_dot_product_attention",)
    VALID = (
        """
        import torch.nn.functional as F


        def f(q, k, v, pad):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=pad != 0)
        """,
        """
        import torch
        import torch.nn.functional as F


        def f(q, k, v, n):
            mask = torch.ones(n, n, dtype=torch.bool).tril()
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.device))
        """,
        """
        import torch.nn.functional as F


        def f(q, k, v, mask):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype))
        """,
        """
        import torch.nn.functional as F


        def f(q, k, v, pad):
            mask = (pad == 0).float() * -1e9
            return F.scaled_dot_product_attention(q, k, v, mask)
        """,
    )
    INVALID = (
        """
        import torch.nn.functional as F


        def f(q, k, v, pad):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=(pad != 0).float())
        """,
        """
        import torch
        import torch.nn.functional as F


        def f(q, k, v, n):
            mask = torch.tril(torch.ones(n, n))
            return F.scaled_dot_product_attention(q, k, v, mask)
        """,
        """
        import torch.nn.functional as F


        def f(q, k, v, pad):
            keep = pad.ne(0)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=keep.to(q.dtype))
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call whose mask holds ones and zeros of another type than bool."""
        given = argument(call, "attn_mask", 3)
        if context.resolve(call) != SDPA or given is None:
            return
        mask = context.value_of(given)
        cast_from = receiver(mask) if isinstance(mask, ast.Call) and _casts(mask, context) else None
        is_cast = cast_from is not None and (is_bool(cast_from, context) or is_zeros_and_ones(cast_from, context))
        if is_cast or (is_zeros_and_ones(mask, context) and not is_bool(mask, context)):
            yield Spot(call, "the mask of this attention holds 1 and 0, which are added to the logits")


def _casts(call: ast.Call, context: FileContext) -> bool:
    """Return whether a call surely changes the type of a tensor to one that is not bool."""
    if method(call) in ("to", "type"):
        types = [each for each in (*call.args, argument(call, "dtype")) if each is not None]
        named = [context.resolve(each) for each in types]
        floats = any(name.startswith("torch.") and ("float" in name or name == "torch.half") for name in named)
        return floats or any(isinstance(each, ast.Attribute) and each.attr == "dtype" for each in types)
    return method(call) in _CASTS
