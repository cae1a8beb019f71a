"""API003: `require_grad` where `requires_grad` is meant."""

import ast
from collections.abc import Callable, Iterator

from audit.severity import Severity
from audit.static.fixes.edits import Edit, Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Rule, Spot


class RequireGrad(Rule):
    """The assignment makes a new attribute that nothing reads."""

    id = "API003"
    title = "`require_grad` is assigned; tensors have `requires_grad`"
    severity = Severity.MAJOR
    what = "Reports an assignment to an attribute called `require_grad` in a file that mentions torch."
    why = "Python takes the assignment, torch never reads it: what should be frozen goes on training."
    fix = "write `requires_grad`"
    fix_safety = FixSafety.UNSAFE
    references = ("https://github.com/pytorch-labs/torchfix",)
    nodes = (ast.Attribute,)
    words = ("require_grad",)
    also_silenced_by = ("TOR002",)
    VALID = (
        """
        import torch

        for p in model.parameters():
            p.requires_grad = False
        """,
        """
        import torch

        require_grad = True
        """,
    )
    INVALID = (
        """
        import torch

        for p in model.parameters():
            p.require_grad = False
        """,
        """
        from torch import nn

        model.head.weight.require_grad = True
        """,
    )
    FIXED = (
        (
            """
            import torch

            for p in model.parameters():
                p.require_grad = False  # frozen
            """,
            """
            import torch

            for p in model.parameters():
                p.requires_grad = False  # frozen
            """,
        ),
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield an assigned attribute of that name."""
        match node:
            case ast.Attribute(attr="require_grad", ctx=ast.Store()) if "torch" in context.text:
                yield Spot(node, "`require_grad` is assigned; torch reads `requires_grad`", edits=_edits(node))


def _edits(node: ast.Attribute) -> Callable[[SourceText], Fix | None]:
    def edits(source: SourceText) -> Fix | None:
        end = source.end(node)
        return fix([Edit(end - len(node.attr), end, "requires_grad")], FixSafety.UNSAFE)

    return edits
