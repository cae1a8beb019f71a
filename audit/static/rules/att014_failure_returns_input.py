"""ATT014: an attention that hides its failure by returning something else."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.context import FileContext
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.syntax import last_name, parameters

_RANDOM = frozenset(
    f"torch.{name}" for name in ("rand", "randn", "zeros", "ones", "rand_like", "randn_like", "zeros_like")
)


class FailureReturnsInput(Rule):
    """The model goes on without its attention, and nobody is told."""

    id = "ATT014"
    title = "A module's `forward` catches every exception and returns its input or made-up numbers"
    severity = Severity.MAJOR
    what = (
        "Reports `except Exception` and bare `except` in a module's `forward` whose handler returns a parameter as"
        " it is, or a tensor of random numbers, zeros or ones."
    )
    why = "A kernel that fails on the target hardware turns the layer into the identity; training and tests go on."
    fix = "let the exception out, or catch the one that is expected and compute the same by another way"
    nodes = (ast.ExceptHandler,)
    words = ("except",)
    VALID = (
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                try:
                    return self.fused(x)
                except Exception:
                    return self.plain(x)
        """,
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                try:
                    return self.fused(x)
                except NotImplementedError:
                    return x
        """,
    )
    INVALID = (
        """
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                try:
                    return self.fused(x)
                except Exception:
                    return x
        """,
        """
        import torch
        from torch import nn


        class A(nn.Module):
            def forward(self, x):
                try:
                    return self.fused(x)
                except:
                    return torch.randn_like(x)
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a handler that returns what was not computed."""
        assert isinstance(node, ast.ExceptHandler)
        function = context.function_of(node)
        if function is None or function.name != "forward" or not context.model_of(function):
            return
        if node.type is not None and last_name(node.type) not in ("Exception", "BaseException"):
            return
        names = {each.arg for each in parameters(function)} - {"self"}
        for statement in node.body:
            if isinstance(statement, ast.Return) and statement.value is not None:
                value = statement.value
                unchanged = isinstance(value, ast.Name) and value.id in names
                if unchanged or context.resolve(value) in _RANDOM:
                    yield Spot(statement, f"after any failure `forward` returns `{ast.unparse(value)}`")
