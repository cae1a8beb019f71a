"""ATT002: a softmax that does not say over which axis."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.fixes.arguments import keyword_added
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument, constant, unpacks

_FUNCTIONS = frozenset(f"torch.nn.functional.{name}" for name in ("softmax", "log_softmax", "softmin"))
_CLASSES = frozenset(f"torch.nn.{name}" for name in ("Softmax", "LogSoftmax", "Softmin"))


class SoftmaxWithoutDim(CallRule):
    """Torch guesses the axis from the number of axes."""

    id = "ATT002"
    title = "A softmax without `dim`"
    severity = Severity.MAJOR
    what = "Reports `softmax`, `log_softmax` and `softmin` of `torch.nn` and its functional without `dim`."
    why = (
        "Torch then takes axis 0 for tensors of 0, 1 and 3 axes and axis 1 for all others. Attention scores have 3"
        " or 4 axes: the weights are normalised over the batch or over the heads, and a warning is all that shows."
    )
    fix = "pass dim=-1"
    fix_safety = FixSafety.SUGGESTION
    references = ("https://github.com/pytorch/pytorch/blob/v2.13.0/torch/nn/functional.py",)
    precision = Precision(findings=4, sampled=4, false=0)
    words = ("oftm",)
    called = ("softmax", "log_softmax", "softmin", "Softmax", "LogSoftmax", "Softmin")
    VALID = (
        """
        import torch.nn.functional as F

        w = F.softmax(scores, dim=-1)
        """,
        """
        import torch.nn.functional as F

        w = F.softmax(scores, -1)
        """,
        """
        import torch

        w = torch.softmax(scores, -1)
        """,
        """
        from torch import nn

        softmax = nn.Softmax(dim=-1)
        """,
    )
    INVALID = (
        """
        import torch.nn.functional as F

        w = F.softmax(scores)
        """,
        """
        from torch import nn

        softmax = nn.Softmax()
        """,
        """
        from torch.nn.functional import log_softmax

        w = log_softmax(scores, dtype=dtype)
        """,
    )
    FIXED = (
        (
            """
            import torch.nn.functional as F

            w = F.softmax(scores)
            """,
            """
            import torch.nn.functional as F

            w = F.softmax(scores, dim=-1)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a softmax whose axis is left out."""
        name = context.resolve(call)
        if name not in _FUNCTIONS | _CLASSES or unpacks(call):
            return
        dim = argument(call, "dim", 0 if name in _CLASSES else 1)
        if dim is None or constant(dim) is None:
            edits = keyword_added(call, "dim", "-1", FixSafety.SUGGESTION) if dim is None else None
            yield Spot(call, f"`{name.rpartition('.')[2]}` does not say over which axis", edits=edits)
