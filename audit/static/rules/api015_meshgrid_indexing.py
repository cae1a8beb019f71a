"""API015: `torch.meshgrid` without `indexing`."""

import ast
from collections.abc import Iterator

from audit.static.fixes.arguments import keyword_added
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.old_versions import is_for_an_old_version
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument


class MeshgridIndexing(CallRule):
    """Torch warns at every such call."""

    id = "API015"
    title = "`torch.meshgrid` without `indexing`"
    what = "Reports calls of `torch.meshgrid` that leave `indexing` to the default."
    why = (
        "The default is to change from 'ij' to 'xy', which swaps the first two axes of the result; until then it warns."
    )
    fix = "pass indexing='ij' to keep what is computed"
    fix_safety = FixSafety.SAFE
    references = ("https://docs.pytorch.org/docs/stable/generated/torch.meshgrid.html",)
    precision = Precision(findings=5, sampled=5, false=0)
    words = ("meshgrid",)
    called = ("meshgrid",)
    VALID = (
        """
        import torch

        y, x = torch.meshgrid(a, b, indexing='ij')
        """,
        """
        import numpy as np

        y, x = np.meshgrid(a, b)
        """,
        """
        import torch

        y, x = torch.meshgrid(a, b, **options)
        """,
        """
        import torch

        def grid(*axes):
            try:
                return torch.meshgrid(*axes, indexing='ij')
            except TypeError:
                return torch.meshgrid(*axes)
        """,
    )
    INVALID = (
        """
        import torch

        y, x = torch.meshgrid(a, b)
        """,
        """
        from torch import meshgrid

        grid = meshgrid([a, b])
        """,
        """
        import torch

        def grid(*axes):
            rows = torch.meshgrid(*axes, indexing='ij')
            return rows, torch.meshgrid(*axes)
        """,
    )
    FIXED = (
        (
            """
            import torch

            y, x = torch.meshgrid(a, b)
            """,
            """
            import torch

            y, x = torch.meshgrid(a, b, indexing="ij")
            """,
        ),
        (
            """
            import torch

            kind = 'a'
            grid = torch.meshgrid(
                [a, b],
            )
            """,
            """
            import torch

            kind = 'a'
            grid = torch.meshgrid(
                [a, b],
                indexing='ij',
            )
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a call without the argument."""
        if context.resolve(call) not in ("torch.meshgrid", "torch.functional.meshgrid") or context.guarded(call):
            return
        if argument(call, "indexing") is None and all(keyword.arg for keyword in call.keywords):
            if is_for_an_old_version(call, context, "indexing"):
                return
            edits = keyword_added(call, "indexing", '"ij"', FixSafety.SAFE)
            yield Spot(call, "`torch.meshgrid` is called without `indexing`", edits=edits)
