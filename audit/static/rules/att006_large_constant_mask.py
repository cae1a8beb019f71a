"""ATT006: a mask made with a constant that float16 does not have."""

import ast
from collections.abc import Iterator

from audit.static.fixes.filling import least_of_its_dtype
from audit.static.rules.att005_fill_beyond_half import LARGEST_HALF
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument, method, number


class LargeConstantMask(CallRule):
    """ATT005 without the proof that the tensor is half."""

    id = "ATT006"
    title = "A mask filled with a constant beyond float16"
    what = "Reports `masked_fill` with a finite literal below -65504."
    why = "The line fails, or gives NaN for a row without keys, as soon as somebody runs the model in float16."
    fix_safety = FixSafety.UNSAFE
    fix_depends_on = "what is filled has to have a name, whose dtype is asked for"
    fix = "fill with torch.finfo(scores.dtype).min"
    references = ("https://docs.pytorch.org/docs/stable/type_info.html",)
    default_on = False
    off_because = "in float32 and bfloat16 the constant works, and the dtype is rarely known from the file"
    precision = Precision(findings=2, sampled=0, false=0)
    words = ("masked_fill",)
    called = ("masked_fill", "masked_fill_")
    VALID = (
        "s = s.masked_fill(m, float('-inf'))\n",
        "s = s.masked_fill(m, -1e4)\n",
    )
    INVALID = (
        "s = s.masked_fill(m, -1e9)\n",
        "s.masked_fill_(m, value=-1e30)\n",
    )
    FIXED = (
        (
            """
            s = s.masked_fill(m, -1e9)
            """,
            """
            import torch
            s = s.masked_fill(m, torch.finfo(s.dtype).min)
            """,
        ),
        (
            """
            import torch

            s.masked_fill_(m, value=-1e30)
            """,
            """
            import torch

            s.masked_fill_(m, value=torch.finfo(s.dtype).min)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a fill with too large a number."""
        value = number(argument(call, "value", 1)) if method(call) in ("masked_fill", "masked_fill_") else None
        if value is not None and -float("inf") < value < -LARGEST_HALF:
            yield Spot(call, f"filled with {value:g}; float16 ends at -65504", edits=least_of_its_dtype(call, context))
