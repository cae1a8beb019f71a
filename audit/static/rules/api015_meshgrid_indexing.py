"""API015: `torch.meshgrid` without `indexing`."""

import ast
from collections.abc import Iterator

from audit.static.fixes.arguments import keyword_added
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.old_versions import Fallback
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument

_MESHGRID = ("torch.meshgrid", "torch.functional.meshgrid")
# Torch knows it from 1.10 on; what is left to any 1.x only warns there.
_OF_OLD_VERSIONS = Fallback(_MESHGRID, "indexing", until=(2, 0))


class MeshgridIndexing(CallRule):
    """Torch warns at every such call."""

    id = "API015"
    title = "`torch.meshgrid` without `indexing`"
    what = (
        "Reports calls of `torch.meshgrid` that leave `indexing` to the default, but not what is left to versions of "
        "torch that do not know it: a handler of `TypeError` beside a call that passes it, a branch for versions "
        "before 2.0, or one where the function's signature lacks it."
    )
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
        """
        import torch

        KNOWS_INDEXING = torch.__version__ >= '1.10'

        def grid(*axes):
            if KNOWS_INDEXING:
                return torch.meshgrid(*axes, indexing='ij')
            return torch.meshgrid(*axes)
        """,
        """
        import torch
        from packaging import version

        def grid(*axes):
            is_old = version.parse(torch.__version__) < version.parse('1.10')
            return torch.meshgrid(*axes) if is_old else torch.meshgrid(*axes, indexing='ij')
        """,
        """
        import torch

        try:
            torch.meshgrid(torch.zeros(1), indexing='ij')
        except TypeError:
            def grid(*axes):
                return torch.meshgrid(*axes)
        """,
        """
        import contextlib

        import torch

        def grid(*axes):
            with contextlib.suppress(TypeError):
                return torch.meshgrid(*axes, indexing='ij')
            return torch.meshgrid(*axes)
        """,
        """
        import torch

        def grid(*axes):
            known = torch.meshgrid.__kwdefaults__
            if known is not None:
                return torch.meshgrid(*axes, indexing='ij')
            else:
                return torch.meshgrid(*axes)
        """,
        """
        import torch
        from torch import __version__ as torch_release

        AT_HAND = tuple(int(part) for part in torch_release.split('.')[:2])

        def grid(*axes):
            is_old = not AT_HAND >= (1, 10)
            if is_old and axes:
                return torch.meshgrid(*axes)
            return torch.meshgrid(*axes, indexing='ij')
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
        """
        import torch

        def grid(is_indexed, *axes):
            if is_indexed:
                return torch.meshgrid(*axes, indexing='ij')
            return torch.meshgrid(*axes)
        """,
        """
        import torch

        def grid(*axes):
            if torch.cuda.is_available():
                return torch.meshgrid(*axes, indexing='ij')
            return torch.meshgrid(*axes)
        """,
        """
        import torch

        def grid(*axes):
            try:
                return torch.meshgrid(*axes, indexing='ij')
            except OSError:
                return torch.meshgrid(*axes)
        """,
        """
        import torch
        from packaging import version

        def grid(*axes):
            if version.parse(torch.__version__) >= version.parse('1.10'):
                return torch.meshgrid(*axes)
            return torch.meshgrid(*axes, indexing='ij')
        """,
        """
        import torch

        def grid(*axes):
            has_version = not has_version
            if has_version:
                return torch.meshgrid(*axes, indexing='ij')
            return torch.meshgrid(*axes)
        """,
        """
        import torch
        from packaging.version import Version

        IS_NEW = Version(torch.__version__) >= Version('1.10')

        def grid(a, b):
            if a.numel() or not IS_NEW:
                return torch.meshgrid(a, b)

        def other(a, b, IS_NEW):
            return torch.meshgrid(a, b, indexing='ij') if IS_NEW else torch.meshgrid(a, b)
        """,
        """
        import torch
        import torchvision
        from packaging.version import Version

        def grid(a, b):
            if Version(torchvision.__version__) < Version('0.15'):
                return torch.meshgrid(a, b)
            return torch.meshgrid(a, b, indexing='ij')
        """,
        """
        import torch

        def grid(a, b):
            if hasattr(torch, 'cuda'):
                return torch.meshgrid(a, b, indexing='ij')
            return torch.meshgrid(a, b)
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
        if context.resolve(call) not in _MESHGRID:
            return
        if argument(call, "indexing") is None and all(keyword.arg for keyword in call.keywords):
            if _OF_OLD_VERSIONS.is_at(call, context):
                return
            edits = keyword_added(call, "indexing", '"ij"', FixSafety.SAFE)
            yield Spot(call, "`torch.meshgrid` is called without `indexing`", edits=edits)
