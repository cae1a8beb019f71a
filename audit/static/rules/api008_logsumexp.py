"""API008: the logarithm of a sum of exponentials, written out."""

import ast
from collections.abc import Iterator

from audit.static.fixes.functions import Edits, called_instead
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import method, receiver


class LogSumExp(CallRule):
    """`exp` overflows where `logsumexp` subtracts the maximum first."""

    id = "API008"
    title = "`torch.log(torch.sum(torch.exp(x)))` instead of `torch.logsumexp(x)`"
    what = "Reports the logarithm of a sum of exponentials written with three calls."
    why = (
        "In float32 `exp` is infinite above 88.7 and 0 below -103.9; the result is then inf or -inf for a finite "
        "answer."
    )
    fix = "write torch.logsumexp(x, dim)"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.logsumexp.html",)
    words = ("exp",)
    called = ("log",)
    VALID = (
        """
        import torch

        y = torch.logsumexp(x, dim=-1)
        """,
        """
        import torch

        y = torch.log(torch.sum(torch.exp(x - x.max()), dim=1))
        """,
    )
    INVALID = (
        """
        import torch

        y = torch.log(torch.sum(torch.exp(x), dim=1))
        """,
        """
        import torch

        y = torch.log(torch.exp(x).sum(-1))
        """,
    )
    FIXED = (
        (
            """
            import torch

            y = torch.log(torch.sum(torch.exp(x), dim=1, keepdim=True))
            """,
            """
            import torch

            y = torch.logsumexp(x, dim=1, keepdim=True)
            """,
        ),
        (
            """
            import torch

            y = torch.log(torch.exp(x).sum(-1))
            """,
            """
            import torch

            y = torch.logsumexp(x, -1)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a logarithm of a sum of exponentials of something that is not shifted already."""
        if context.resolve(call) != "torch.log" or len(call.args) != 1 or not isinstance(call.args[0], ast.Call):
            return
        total = call.args[0]
        if context.resolve(total) == "torch.sum" and total.args:
            summed: ast.expr | None = total.args[0]
        else:
            summed = receiver(total) if method(total) == "sum" else None
        if not isinstance(summed, ast.Call) or context.resolve(summed) != "torch.exp" or not summed.args:
            return
        shifted = isinstance(context.value_of(summed.args[0]), ast.BinOp) or "shift" in ast.unparse(summed.args[0])
        if not shifted:
            message = "the logarithm of a sum of exponentials overflows; `torch.logsumexp` does not"
            yield Spot(call, message, edits=_edits(call, total, summed, context))


def _edits(call: ast.Call, total: ast.Call, summed: ast.Call, context: FileContext) -> Edits | None:
    """Return the fix where the axis is given and nothing else but `keepdim`: `logsumexp` has no other arguments."""
    axes = [each for each in total.args if each is not summed]
    names = {keyword.arg for keyword in total.keywords}
    if len(summed.args) != 1 or summed.keywords or call.keywords or not names <= {"dim", "keepdim"}:
        return None
    if len(axes) + ("dim" in names) == 0 or any(isinstance(each, ast.Starred) for each in axes) or len(axes) > 2:
        return None
    return called_instead(call, "torch.logsumexp", [summed.args[0], *axes, *total.keywords], context, named=call.func)
