"""API007: `exp(x) - 1` where `expm1(x)` is exact for small x."""

import ast
from collections.abc import Iterator

from audit.static.fixes.functions import called_instead
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Rule, Spot
from audit.static.rules.syntax import number


class Expm1(Rule):
    """The difference of two numbers near 1 keeps few digits."""

    id = "API007"
    title = "`torch.exp(x) - 1` instead of `torch.expm1(x)`"
    what = "Reports the difference of `torch.exp` and the literal 1."
    why = "For small |x| both terms are near 1 and the difference holds few correct digits, or is 0."
    fix = "write torch.expm1(x)"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.expm1.html",)
    precision = Precision(findings=80, sampled=30, false=0)
    nodes = (ast.BinOp,)
    words = ("exp",)
    also_silenced_by = ("TOR107",)
    VALID = (
        """
        import torch

        y = torch.expm1(x)
        """,
        """
        import torch

        y = torch.exp(x - 1)
        """,
    )
    INVALID = (
        """
        import torch

        y = torch.exp(x) - 1
        """,
        """
        import torch as t

        y = 2 * (t.exp(-x) - 1.0)
        """,
    )
    FIXED = (
        (
            """
            import torch as t

            y = 2 * (t.exp(-x) - 1.0)
            """,
            """
            import torch as t

            y = 2 * (t.expm1(-x))
            """,
        ),
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a difference of an exponential and 1."""
        match node:
            case ast.BinOp(op=ast.Sub(), left=ast.Call() as call, right=one) if number(one) == 1.0:
                if context.resolve(call) == "torch.exp":
                    simple = not call.keywords
                    edits = called_instead(node, "torch.expm1", call.args, context, named=call.func) if simple else None
                    yield Spot(node, "`torch.exp(x) - 1` loses small x; `torch.expm1(x)` does not", edits=edits)
