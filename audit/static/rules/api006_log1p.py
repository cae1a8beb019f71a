"""API006: `log(1 + x)` where `log1p(x)` is exact for small x."""

import ast
from collections.abc import Iterator

from audit.static.fixes.functions import called_instead
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import number


class Log1p(CallRule):
    """`1 + x` rounds x away before the logarithm sees it."""

    id = "API006"
    title = "`torch.log(1 + x)` instead of `torch.log1p(x)`"
    what = "Reports `torch.log` of a sum with the literal 1."
    why = (
        "For |x| below the rounding step of 1 (6e-8 in float32, 4e-3 in bfloat16) the result is 0 and so is its "
        "gradient."
    )
    fix = "write torch.log1p(x)"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.log1p.html",)
    default_on = False
    off_because = "where x is a whole number, as a distance between positions is, there is nothing to lose"
    precision = Precision(findings=14, sampled=14, false=9)
    words = ("log",)
    called = ("log",)
    also_silenced_by = ("TOR106",)
    VALID = (
        """
        import torch

        y = torch.log1p(x)
        """,
        """
        import math

        y = math.log(1 + x)
        """,
    )
    INVALID = (
        """
        import torch

        y = torch.log(1 + x)
        """,
        """
        from torch import log

        y = log(x.exp() + 1.0)
        """,
    )
    FIXED = (
        (
            """
            import torch

            y = torch.log(1 + (a * b))
            """,
            """
            import torch

            y = torch.log1p(a * b)
            """,
        ),
        (
            """
            from torch import log

            y = log(x.exp() + 1.0)
            """,
            """
            import torch
            from torch import log

            y = torch.log1p(x.exp())
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a logarithm of a sum with 1."""
        match call.args:
            case [ast.BinOp(op=ast.Add(), left=left, right=right)] if 1.0 in (number(left), number(right)):
                if context.resolve(call) == "torch.log":
                    of = right if number(left) == 1.0 else left
                    edits = called_instead(call, "torch.log1p", [of], context, named=call.func)
                    yield Spot(call, "`torch.log(1 + x)` loses small x; `torch.log1p(x)` does not", edits=edits)
