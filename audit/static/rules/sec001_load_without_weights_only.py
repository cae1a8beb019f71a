"""SEC001: `torch.load` that leaves `weights_only` to the version of torch."""

import ast
from collections.abc import Iterator

from audit.static.fixes.arguments import keyword_added
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.loading import is_round_trip
from audit.static.rules.old_versions import Fallback
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument, unpacks

_LOAD = ("torch.load", "torch.serialization.load")
# A handler of everything also handles the refusal of a file that holds code, and runs it.
_OF_OLD_VERSIONS = Fallback(_LOAD, "weights_only", until=(1, 13), of_any_failure=False)


class LoadWithoutWeightsOnly(CallRule):
    """Before torch 2.6 the default runs whatever code the file holds."""

    id = "SEC001"
    title = "`torch.load` without `weights_only`"
    what = (
        "Reports calls of `torch.load` that do not pass `weights_only`, but not what is left to versions of torch that "
        "do not know it: a handler of `TypeError`, and of nothing else, beside a call that passes it, a branch "
        "for versions before 1.13, or one where the function's signature lacks it."
    )
    why = (
        "Before torch 2.6 the default unpickles the file, which can run any code; later the same call may refuse "
        "to load it."
    )
    fix = "pass weights_only=True"
    fix_safety = FixSafety.UNSAFE
    references = (
        "https://docs.pytorch.org/docs/stable/generated/torch.load.html",
        "https://github.com/pytorch/pytorch/issues/31875",
    )
    precision = Precision(findings=21, sampled=21, false=0)
    words = ("load",)
    called = ("load",)
    also_silenced_by = ("TOR102", "S614")
    VALID = (
        """
        import torch

        state = torch.load('a.pt', weights_only=True)
        """,
        """
        import torch

        state = torch.load('a.pt', **options)
        """,
        """
        from mine import load

        state = load('a.pt')
        """,
        """
        import torch


        def load(path, options):
            try:
                return torch.load(path, weights_only=True)
            except TypeError:
                return torch.load(path)
        """,
        """
        import io

        import torch


        def copy(model):
            buffer = io.BytesIO()
            torch.save(model, buffer)
            return torch.load(buffer)
        """,
        """
        import inspect

        import torch


        def load(path):
            if 'weights_only' in inspect.signature(torch.load).parameters:
                return torch.load(path, weights_only=True)
            else:
                return torch.load(path)
        """,
        """
        import torch


        def load(path, **options):
            try:
                return torch.load(path, **options)
            except TypeError:
                return torch.load(path)
        """,
        """
        import torch
        from packaging.version import parse


        def load(path):
            if parse(torch.__version__) < parse('1.13'):
                return torch.load(path)
            return torch.load(path, weights_only=True)
        """,
    )
    INVALID = (
        """
        import torch

        state = torch.load('a.pt')
        """,
        """
        from torch import load

        state = load('a.pt', map_location='cpu')
        """,
        """
        import io

        import torch


        def broadcast(value, others):
            buffer = io.BytesIO()
            torch.save(value, buffer)
            buffer = io.BytesIO(others(buffer))
            return torch.load(buffer)
        """,
        """
        import torch


        def both(first, second):
            if first:
                a = torch.load(first, weights_only=True)
            if second:
                b = torch.load(second)
            return a, b
        """,
        """
        import torch


        def load(path):
            try:
                return torch.load(path, weights_only=True)
            except Exception:
                return torch.load(path)
        """,
        """
        import torch


        def load(path, weights_only):
            if weights_only:
                return torch.load(path, weights_only=True)
            return torch.load(path)
        """,
        """
        import torch
        from packaging.version import parse


        def load(path):
            if parse(torch.__version__) < parse('2.6'):
                return torch.load(path)
            return torch.load(path, weights_only=True)
        """,
        """
        import torch


        def load(path):
            try:
                return torch.load(path, weights_only=True)
            except (TypeError, RuntimeError):
                return torch.load(path)
        """,
    )
    FIXED = (
        (
            """
            import torch

            state = torch.load('a.pt', map_location=(
                'cpu'  # no GPU here
            ))
            """,
            """
            import torch

            state = torch.load('a.pt', map_location=(
                'cpu'  # no GPU here
            ), weights_only=True)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a load that leaves the argument out."""
        is_load = context.resolve(call) in _LOAD
        if is_load and not unpacks(call) and argument(call, "weights_only") is None and not _is_harmless(call, context):
            edits = keyword_added(call, "weights_only", "True", FixSafety.UNSAFE)
            yield Spot(call, "`torch.load` is called without `weights_only`", edits=edits)


def _is_harmless(call: ast.Call, context: FileContext) -> bool:
    return is_round_trip(call, context) or _OF_OLD_VERSIONS.is_at(call, context)
