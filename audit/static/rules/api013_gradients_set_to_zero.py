"""API013: gradients that are filled with zeros instead of dropped."""

import ast
from collections.abc import Iterator

from audit.static.fixes.arguments import argument_removed
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import argument, constant, method


class GradientsSetToZero(CallRule):
    """The default of torch 2 is None."""

    id = "API013"
    title = "`zero_grad(set_to_none=False)`"
    what = "Reports `zero_grad` with `set_to_none=False`."
    why = "Filling with zeros writes all gradients once more per step; torch 2 drops them by default."
    fix = "leave set_to_none out"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html",)
    default_on = False
    off_because = "a hint about speed; some code needs gradients that are there"
    words = ("set_to_none",)
    called = ("zero_grad",)
    VALID = (
        "optimizer.zero_grad()\n",
        "optimizer.zero_grad(set_to_none=True)\n",
    )
    INVALID = ("optimizer.zero_grad(set_to_none=False)\n",)
    FIXED = (
        (
            """
            optimizer.zero_grad(set_to_none=False)
            """,
            """
            optimizer.zero_grad()
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call with the argument False."""
        if method(call) == "zero_grad" and constant(argument(call, "set_to_none", 0)) is False:
            edits = argument_removed(call, "set_to_none", 0, FixSafety.UNSAFE)
            yield Spot(call, "gradients are filled with zeros instead of dropped", edits=edits)
