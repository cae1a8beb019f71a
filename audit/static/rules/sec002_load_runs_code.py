"""SEC002: `torch.load` that is told to unpickle."""

import ast
from collections.abc import Iterator

from audit.static.fixes.arguments import value_replaced
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.loading import is_round_trip
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument, constant


class LoadRunsCode(CallRule):
    """The file decides what runs."""

    id = "SEC002"
    title = "`torch.load` with `weights_only=False`"
    what = "Reports calls of `torch.load` with `weights_only=False`."
    why = "Whoever can write the file can run any code as the user who loads it."
    fix = "load tensors only: weights_only=True, torch.serialization.add_safe_globals, or safetensors"
    fix_safety = FixSafety.UNSAFE
    references = ("https://docs.pytorch.org/docs/stable/notes/serialization.html",)
    precision = Precision(findings=18, sampled=18, false=0)
    words = ("weights_only",)
    called = ("load",)
    also_silenced_by = ("S614",)
    VALID = (
        """
        import torch

        state = torch.load('a.pt', weights_only=True)
        """,
        """
        import torch


        def copy(model, file):
            torch.save(model, file.name)
            return torch.load(file.name, weights_only=False)
        """,
    )
    INVALID = (
        """
        import torch

        state = torch.load('a.pt', weights_only=False)
        """,
    )
    FIXED = (
        (
            """
            import torch

            state = torch.load('a.pt', weights_only=False)
            """,
            """
            import torch

            state = torch.load('a.pt', weights_only=True)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a load that unpickles."""
        is_load = context.resolve(call) in ("torch.load", "torch.serialization.load")
        given = argument(call, "weights_only")
        if is_load and given is not None and constant(given) is False and not is_round_trip(call, context):
            edits = value_replaced(call, given, "True", FixSafety.UNSAFE)
            yield Spot(call, "`torch.load(weights_only=False)` runs code that the file holds", edits=edits)
