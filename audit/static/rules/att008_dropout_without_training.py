"""ATT008: functional dropout that is active in evaluation."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.fixes.arguments import keyword_added
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Spot
from audit.static.rules.syntax import argument, unpacks

_DROPOUTS = frozenset(
    f"torch.nn.functional.{name}"
    for name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
)


class DropoutWithoutTraining(CallRule):
    """The default of `training` is True, whatever the module's mode."""

    id = "ATT008"
    title = "Functional dropout without `training=` in a module"
    severity = Severity.MAJOR
    what = "Reports `torch.nn.functional.dropout` and its kin in a method of a module without the argument `training`."
    why = "The default is True: after `model.eval()` the layer still drops, and no two predictions agree."
    fix = "pass training=self.training"
    fix_safety = FixSafety.UNSAFE
    references = (
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html",
        "https://github.com/huggingface/pytorch-image-models/issues/1978",
    )
    words = ("dropout",)
    called = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
    VALID = (
        """
        import torch.nn.functional as F
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return F.dropout(x, 0.1, training=self.training)
        """,
        """
        import torch.nn.functional as F
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                if self.training:
                    x = F.dropout(x, 0.1)
                return x
        """,
        """
        import torch.nn.functional as F


        def noise(x):
            return F.dropout(x, 0.1)
        """,
    )
    INVALID = (
        """
        import torch.nn.functional as F
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return F.dropout(x, 0.1)
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return torch.nn.functional.dropout2d(x, p=self.p)
        """,
    )
    FIXED = (
        (
            """
            import torch.nn.functional as F
            from torch import nn


            class A(nn.Module):
                def forward(self, x):
                    return F.dropout(x, 0.1)
            """,
            """
            import torch.nn.functional as F
            from torch import nn


            class A(nn.Module):
                def forward(self, x):
                    return F.dropout(x, 0.1, training=self.training)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a dropout whose mode is left to the default."""
        name = context.resolve(call)
        if name not in _DROPOUTS or unpacks(call) or argument(call, "training", 2) is not None:
            return
        function = context.function_of(call)
        if context.model_of(function) and not reads_training(function):
            message = f"`{name.rpartition('.')[2]}` is active in evaluation too: `training` is left out"
            edits = keyword_added(call, "training", "self.training", FixSafety.UNSAFE) if has_self(function) else None
            yield Spot(call, message, edits=edits)


def has_self(function: ast.AST | None) -> bool:
    """Return whether `self` is the first parameter of a function."""
    if not isinstance(function, ast.FunctionDef):
        return False
    return [each.arg for each in (*function.args.posonlyargs, *function.args.args)][:1] == ["self"]


def reads_training(function: ast.AST | None) -> bool:
    """Return whether a function looks at `.training`."""
    return function is not None and any(
        isinstance(node, ast.Attribute) and node.attr == "training" for node in ast.walk(function)
    )
