"""ATT005: half-precision scores filled with a number that half precision does not have."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.fixes.filling import least_of_its_dtype
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import argument, method, number, receiver

_FILLS = frozenset({"masked_fill", "masked_fill_", "fill_"})
LARGEST_HALF = 65504.0  # the largest finite float16, IEEE 754


class FillBeyondHalf(CallRule):
    """Only where the function itself makes the tensor half: whether a model is cast later cannot be read here."""

    id = "ATT005"
    title = "Scores in float16 filled with a number beyond float16"
    severity = Severity.MAJOR
    what = "Reports `masked_fill` with a literal below -65504 on a tensor that the same function casts to float16."
    why = (
        "Torch raises `value cannot be converted to type at::Half without overflow`, or the number becomes -inf "
        "and a row without any key becomes NaN."
    )
    fix_safety = FixSafety.UNSAFE
    fix_depends_on = "what is filled has to have a name, whose dtype is asked for"
    fix = "fill with torch.finfo(scores.dtype).min, or compute the softmax in float32"
    references = ("https://docs.pytorch.org/docs/stable/type_info.html",)
    words = ("masked_fill",)
    called = ("masked_fill", "masked_fill_", "fill_")
    VALID = (
        """
        import torch


        def f(s, m):
            s = s.half()
            return s.masked_fill(m, torch.finfo(s.dtype).min)
        """,
        """
        import torch


        def f(s, m):
            return s.masked_fill(m, -1e9)
        """,
        """
        import torch


        def f(s, m):
            return s.half().masked_fill(m, -1e4)
        """,
    )
    INVALID = (
        """
        import torch


        def f(s, m):
            return s.half().masked_fill(m, -1e9)
        """,
        """
        import torch


        def f(q, k, m):
            s = (q @ k.mT).to(torch.float16)
            return s.masked_fill(m, -1e9)
        """,
    )
    FIXED = (
        (
            """
            import torch


            def f(s, m):
                half = s.half()
                return half.masked_fill(m, -1e9)  # no key
            """,
            """
            import torch


            def f(s, m):
                half = s.half()
                return half.masked_fill(m, torch.finfo(half.dtype).min)  # no key
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a fill of a half tensor with too large a number."""
        value = number(argument(call, "value", len(call.args) - 1 if call.args else 0))
        of = receiver(call)
        if method(call) not in _FILLS or of is None or value is None or abs(value) <= LARGEST_HALF:
            return
        if abs(value) != float("inf") and _is_half(context.value_of(of), context):
            yield Spot(
                call,
                f"a float16 tensor is filled with {value:g}; float16 ends at -65504",
                edits=least_of_its_dtype(call, context),
            )


def _is_half(expression: ast.expr, context: FileContext) -> bool:
    if not isinstance(expression, ast.Call):
        return False
    types = [*expression.args, argument(expression, "dtype")]
    cast = method(expression) in ("to", "type") and any(
        context.resolve(each) in ("torch.float16", "torch.half") for each in types if each is not None
    )
    return cast or (method(expression) == "half" and not expression.args)
