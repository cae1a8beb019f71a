"""TRN007: a model trained on targets made by a random generator."""

import ast
import re
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.syntax import calls_in
from audit.static.rules.training_forms import backward_calls, optimizer_steps

_TARGET = re.compile(r"^(?:\w+_)?(?:targets?|labels?)$")
_RANDOM = frozenset({"torch.rand", "torch.randn", "torch.randint", "torch.rand_like", "torch.randn_like"})


class RandomTargets(Rule):
    """What is learned from noise is noise, whatever the loss says."""

    id = "TRN007"
    title = "A training loop whose targets are random numbers"
    severity = Severity.MAJOR
    what = (
        "Reports a name such as `target` or `labels` that is made by `torch.rand*` inside a loop with `backward()`"
        " and an optimizer's `step()`, outside of tests."
    )
    why = "The loop trains on noise: its losses and the checkpoint it leaves say nothing of the task."
    fix = "train on data, or name the loop a benchmark and keep no checkpoint"
    nodes = (ast.Assign,)
    words = ("backward",)
    VALID = (
        """
        import torch

        for x, target in loader:
            opt.zero_grad()
            f(x, target).backward()
            opt.step()
        """,
        """
        import torch

        for x in loader:
            noise = torch.randn(4)
            opt.zero_grad()
            f(x + noise).backward()
            opt.step()
        """,
    )
    INVALID = (
        """
        import torch

        for x in loader:
            target = torch.randn(4)
            opt.zero_grad()
            f(x, target).backward()
            opt.step()
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield targets of random numbers in a training loop."""
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _TARGET.match(name):
                loop = context.loop_of(node)
            case _:
                return
        if loop is None or context.is_test or context.resolve(value) not in _RANDOM:
            return
        calls = list(calls_in(loop))
        if list(backward_calls(calls)) and list(optimizer_steps(calls, context)):
            yield Spot(node, f"`{name}` is made of random numbers in a training loop")
