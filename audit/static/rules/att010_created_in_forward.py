"""ATT010: weights made anew at every call."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.layers import MAKES_WEIGHTS
from audit.static.rules.rule import Spot


class CreatedInForward(CallRule):
    """A module or parameter that lives for one call."""

    id = "ATT010"
    title = "A layer or parameter with weights is created in `forward`"
    severity = Severity.MAJOR
    what = (
        "Reports the construction of a layer with weights, or of a parameter, in a module's `forward`, unless it "
        "stands under a condition, as layers made at the first call do."
    )
    why = "The weights are random at each call, no optimizer knows them, and no checkpoint holds them."
    fix = "create it in __init__"
    references = ("https://docs.pytorch.org/docs/stable/notes/modules.html",)
    words = ("forward",)
    called = tuple(sorted(name.rpartition(".")[2] for name in MAKES_WEIGHTS))
    VALID = (
        """
        from torch import nn


        class A(nn.Module):
            def __init__(self):
                super().__init__()
                self.proj = nn.Linear(4, 4)

            def forward(self, x):
                return self.proj(x)
        """,
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                if self.proj is None:
                    self.proj = nn.Linear(4, 4)
                return self.proj(x)
        """,
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return nn.ReLU()(x)
        """,
    )
    INVALID = (
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return nn.Linear(4, 4)(x)
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                scale = nn.Parameter(torch.ones(4))
                return x * scale
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a construction in forward that every call passes."""
        function = context.function_of(call)
        if function is None or function.name != "forward":
            return
        name = context.resolve(call)
        if name not in MAKES_WEIGHTS or not context.model_of(function):
            return
        for around in context.ancestors(call):
            if around is function:
                yield Spot(call, f"`{name.removeprefix('torch.')}` is created in `forward`: new weights at every call")
            if isinstance(around, ast.If | ast.IfExp | ast.Try) or around is function:
                return
