"""ATT017: random numbers in `forward`, in evaluation too."""

import ast
from collections.abc import Iterator

from audit.static.rules.att008_dropout_without_training import reads_training
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Precision, Spot
from audit.static.rules.syntax import (
    argument,
)

_RANDOM = frozenset(
    f"torch.{name}" for name in ("rand", "randn", "randint", "rand_like", "randn_like", "randperm", "bernoulli")
)


class RandomInForward(CallRule):
    """Diffusion models and autoencoders sample on purpose, so this is off by default."""

    id = "ATT017"
    title = "`forward` draws random numbers in evaluation"
    what = (
        "Reports `torch.rand*` and its kin in a module's `forward` where no method of the class reads `self.training`."
    )
    why = "After `model.eval()` the same input gives another output each time."
    fix = "draw only where self.training is set, or take the noise or a generator as an argument"
    references = ("https://docs.pytorch.org/docs/stable/notes/randomness.html",)
    default_on = False
    off_because = "generative models sample in forward on purpose, and the file does not say which models do"
    precision = Precision(findings=33, sampled=9, false=8)
    words = ("torch",)
    called = ("rand", "randn", "randint", "rand_like", "randn_like", "randperm", "bernoulli")
    VALID = (
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                if self.training:
                    x = x + torch.randn_like(x)
                return x
        """,
    )
    INVALID = (
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                return x + torch.randn_like(x)
        """,
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield random numbers of a forward that does not look at its mode."""
        if context.resolve(call) not in _RANDOM or argument(call, "generator") is not None:
            return
        function = context.function_of(call)
        owner = context.model_of(function)
        if function is not None and function.name == "forward" and owner is not None and not reads_training(owner):
            yield Spot(call, f"`{ast.unparse(call.func)}` draws in evaluation too")
