"""API001: a name that torch no longer has."""

from collections.abc import Mapping
from typing import ClassVar

from audit.severity import Severity
from audit.static.fixes.replacing import Replacement
from audit.static.fixes.torch_calls import REMOVED
from audit.static.rules.named_api import NamedApiRule
from audit.static.rules.rule import FixSafety


class RemovedFunction(NamedApiRule):
    """Names of which torch 2.13 has nothing, or a function that only raises."""

    id = "API001"
    title = "A function or module that torch has removed"
    severity = Severity.MAJOR
    what = "Reports the use and the import of names that torch removed, or left as a function that only raises."
    why = "The line fails when it runs, or the module when it is imported."
    fix = "use what replaced it; see the release notes of torch"
    fix_safety = FixSafety.UNSAFE
    fix_depends_on = "names whose arguments or results changed otherwise are left to a person"
    references = (
        "https://github.com/pytorch-labs/torchfix#tor001-use-of-removed-function",
        "https://github.com/pytorch/pytorch/pull/70986",
        "https://github.com/pytorch/pytorch/pull/94709",
    )
    words = ("torch",)
    table: ClassVar[Mapping[str, str]] = {
        "torch.solve": "torch.linalg.solve(A, B), whose arguments are the other way round",
        "torch.symeig": "torch.linalg.eigh, or torch.linalg.eigvalsh for the values alone",
        "torch.eig": "torch.linalg.eig",
        "torch.matrix_rank": "torch.linalg.matrix_rank",
        "torch.lstsq": "torch.linalg.lstsq(A, B), whose arguments are the other way round",
        "torch.gels": "torch.linalg.lstsq",
        "torch.rfft": "torch.fft.rfft",
        "torch.irfft": "torch.fft.irfft",
        "torch._six": "collections.abc, math.inf or str",
        "torch._utils._accumulate": "itertools.accumulate",
        "torch.is_deterministic": "torch.are_deterministic_algorithms_enabled",
        "torch.set_deterministic": "torch.use_deterministic_algorithms",
        "torch.distributed.deprecated": "torch.distributed",
        "torch.legacy": "",
        "torch.utils.ffi": "torch.utils.cpp_extension",
        "torch.onnx.ExportTypes": "",
        "torch.onnx.dynamo_export": "torch.onnx.export(..., dynamo=True)",
        "torch.nn.functional.nll_loss2d": "torch.nn.functional.nll_loss",
    }
    replacements: ClassVar[Mapping[str, Replacement]] = REMOVED
    also_silenced_by = ("TOR001", "TOR004")
    VALID = (
        """
        import torch

        x = torch.linalg.solve(a, b)
        """,
        """
        from torch.linalg import solve

        x = solve(a, b)
        """,
        """
        try:
            from torch._six import string_classes
        except ImportError:
            string_classes = (str, bytes)
        """,
        """
        import torch

        if torch.__version__ < '1.9':
            x = torch.solve(b, a)
        """,
        """
        import torch

        assert hasattr(torch.onnx, 'dynamo_export'), 'needs torch 2.1 to 2.8'
        torch.onnx.dynamo_export(model, x)
        """,
        """
        import torch


        def f(torch):
            return torch.solve(b, a)
        """,
        """
        from mine import torch

        x = torch.solve(b, a)
        """,
    )
    INVALID = (
        """
        import torch

        x = torch.solve(b, a).solution
        """,
        """
        from torch import symeig

        x = symeig(a)
        """,
        """
        import torch as t

        x = t.matrix_rank(a)
        """,
        "from torch._six import string_classes\n",
    )
    FIXED = (
        (
            """
            import torch

            x = torch.solve(b, a).solution
            """,
            """
            import torch

            x = torch.linalg.solve(a, b)
            """,
        ),
        (
            """
            import torch as t

            values, vectors = t.symeig(a, eigenvectors=True)
            """,
            """
            import torch as t

            values, vectors = t.linalg.eigh(a, UPLO="U")
            """,
        ),
        (
            """
            from torch import matrix_rank, ones

            x = matrix_rank(ones(2, 2))
            """,
            """
            from torch import ones
            from torch.linalg import matrix_rank

            x = matrix_rank(ones(2, 2))
            """,
        ),
    )

    def message(self, name: str) -> str:
        """Return what the user reads."""
        return f"`{name}` was removed from torch"
