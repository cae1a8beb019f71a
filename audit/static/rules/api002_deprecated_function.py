"""API002: a name that torch documents as deprecated."""

from collections.abc import Mapping
from typing import ClassVar

from audit.static.rules.named_api import NamedApiRule
from audit.static.rules.rule import Precision

_INIT: tuple[str, ...] = ("uniform", "normal", "constant", "eye", "dirac", "orthogonal", "sparse")
_INIT += ("xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal")
_FUNC = ("vmap", "grad", "vjp", "jvp", "jacrev", "jacfwd", "hessian", "functionalize")


class DeprecatedFunction(NamedApiRule):
    """Each name of the table carries a deprecation note in the documentation of torch 2.13 or warns when it is used."""

    id = "API002"
    title = "A function or class that torch has deprecated"
    what = "Reports the use and the import of names that torch's documentation marks as deprecated."
    why = "A later version of torch removes the name; until then the call warns, in some cases once per step."
    fix = "use what torch's documentation of the name recommends"
    references = (
        "https://github.com/pytorch-labs/torchfix#tor101-use-of-deprecated-function",
        "https://docs.pytorch.org/docs/stable/amp.html",
        "https://docs.pytorch.org/docs/stable/func.migrating.html",
    )
    precision = Precision(findings=124, sampled=103, false=0)
    words = ("torch",)
    table: ClassVar[Mapping[str, str]] = {
        "torch.qr": "torch.linalg.qr",
        "torch.chain_matmul": "torch.linalg.multi_dot([a, b, c])",
        "torch.cholesky": "torch.linalg.cholesky",
        "torch.ger": "torch.outer",
        "torch.lu": "torch.linalg.lu_factor",
        "torch.lu_solve": "torch.linalg.lu_solve",
        "torch.norm": "torch.linalg.vector_norm or torch.linalg.matrix_norm",
        "torch.range": "torch.arange, whose end is exclusive",
        "torch.svd": "torch.linalg.svd, which returns V transposed",
        "torch.triangular_solve": "torch.linalg.solve_triangular",
        "torch.set_default_tensor_type": "torch.set_default_dtype and torch.set_default_device",
        "torch.autograd.Variable": "the tensor itself",
        "torch.nn.UpsamplingNearest2d": "torch.nn.functional.interpolate(mode='nearest')",
        "torch.nn.UpsamplingBilinear2d": "torch.nn.functional.interpolate(mode='bilinear', align_corners=True)",
        "torch.nn.NLLLoss2d": "torch.nn.NLLLoss",
        "torch.nn.functional.upsample": "torch.nn.functional.interpolate",
        "torch.nn.functional.upsample_nearest": "torch.nn.functional.interpolate",
        "torch.nn.functional.upsample_bilinear": "torch.nn.functional.interpolate",
        "torch.nn.utils.weight_norm": "torch.nn.utils.parametrizations.weight_norm",
        "torch.nn.utils.clip_grad_norm": "torch.nn.utils.clip_grad_norm_",
        "torch.nn.utils.stateless.functional_call": "torch.func.functional_call",
        "torch.testing.assert_allclose": "torch.testing.assert_close",
        "torch.utils._pytree._register_pytree_node": "torch.utils._pytree.register_pytree_node",
        "torch.backends.cuda.sdp_kernel": "torch.nn.attention.sdpa_kernel",
        "torch.cuda.amp.autocast": "torch.amp.autocast('cuda', ...)",
        "torch.cuda.amp.GradScaler": "torch.amp.GradScaler('cuda', ...)",
        "torch.cuda.amp.custom_fwd": "torch.amp.custom_fwd(..., device_type='cuda')",
        "torch.cuda.amp.custom_bwd": "torch.amp.custom_bwd(..., device_type='cuda')",
        "torch.cpu.amp.autocast": "torch.amp.autocast('cpu', ...)",
        "torch.cpu.amp.GradScaler": "torch.amp.GradScaler('cpu', ...)",
        "torch.cuda.memory_cached": "torch.cuda.memory_reserved",
        "torch.cuda.max_memory_cached": "torch.cuda.max_memory_reserved",
        "torch.distributed.reduce_op": "torch.distributed.ReduceOp",
        **{f"torch.nn.init.{name}": f"torch.nn.init.{name}_" for name in _INIT},
        **{f"functorch.{name}": f"torch.func.{name}" for name in _FUNC},
    }
    also_silenced_by = ("TOR101", "TOR103")
    VALID = (
        """
        import torch

        with torch.amp.autocast('cuda'):
            pass
        """,
        """
        from torch.linalg import svd

        u, s, vh = svd(a)
        """,
        """
        try:
            from torch.amp import GradScaler
        except ImportError:
            from torch.cuda.amp import GradScaler
        """,
        """
        import torch


        def f(a):
            if hasattr(torch, 'linalg'):
                return torch.linalg.qr(a)
            return torch.qr(a)
        """,
        """
        import torch

        x = torch.ones(3).norm()
        """,
        """
        from torch import nn


        def f(layer):
            weight_norm = nn.utils.weight_norm
            if hasattr(nn.utils.parametrizations, 'weight_norm'):
                weight_norm = nn.utils.parametrizations.weight_norm
            return weight_norm(layer)
        """,
    )
    INVALID = (
        """
        import torch

        with torch.cuda.amp.autocast():
            pass
        """,
        "from torch.cuda.amp import GradScaler\n",
        """
        import torch.nn as nn

        nn.init.xavier_uniform(weight)
        """,
        """
        import torch

        u, s, v = torch.svd(a)
        """,
        """
        from functorch import vmap

        f = vmap(g)
        """,
    )

    def message(self, name: str) -> str:
        """Return what the user reads."""
        return f"`{name}` is deprecated"
