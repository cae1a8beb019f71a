"""API002: a name that torch documents as deprecated."""

from collections.abc import Mapping
from typing import ClassVar

from audit.static.fixes.replacing import Replacement
from audit.static.fixes.torch_calls import DEPRECATED
from audit.static.rules.named_api import NamedApiRule
from audit.static.rules.rule import FixSafety, Precision

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
    fix_safety = FixSafety.SAFE
    fix_depends_on = (
        "`autocast` without `dtype` is unsafe, for the new one takes the type of an autocast around it; names whose "
        "results changed, such as `torch.svd`, are left to a person"
    )
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
    replacements: ClassVar[Mapping[str, Replacement]] = DEPRECATED
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
    FIXED = (
        (
            """
            import torch

            with torch.cuda.amp.autocast(use_amp, dtype=torch.float16):
                y = torch.ger(a, b)
            """,
            """
            import torch

            with torch.amp.autocast("cuda", enabled=use_amp, dtype=torch.float16):
                y = torch.outer(a, b)
            """,
        ),
        (
            """
            from torch.cuda.amp import GradScaler, autocast

            scaler = GradScaler(
                init_scale=1.0,  # as in the paper
                enabled=True,
            )
            with autocast():
                pass
            """,
            """
            from torch.amp import GradScaler, autocast

            scaler = GradScaler(
                "cuda",
                init_scale=1.0,  # as in the paper
                enabled=True,
            )
            with autocast("cuda"):
                pass
            """,
        ),
        (
            """
            import torch
            from torch.cuda import amp


            class F(torch.autograd.Function):
                @staticmethod
                @amp.custom_fwd
                def forward(ctx, x):
                    return x
            """,
            """
            import torch
            from torch.cuda import amp


            class F(torch.autograd.Function):
                @staticmethod
                @torch.amp.custom_fwd(device_type="cuda")
                def forward(ctx, x):
                    return x
            """,
        ),
        (
            """
            import torch.nn as nn

            nn.init.xavier_uniform(weight)
            """,
            """
            import torch.nn as nn

            nn.init.xavier_uniform_(weight)
            """,
        ),
        (
            """
            from functorch import vmap

            f = vmap(g)
            """,
            """
            from torch.func import vmap

            f = vmap(g)
            """,
        ),
        (
            """
            "Words."
            from __future__ import annotations

            import functorch

            f = functorch.grad(g)
            """,
            """
            "Words."
            from __future__ import annotations

            import torch
            import functorch

            f = torch.func.grad(g)
            """,
        ),
        (
            """
            import torch

            q, r = torch.qr(a, False)
            q, r = torch.qr(a, some=True)
            low = torch.cholesky(a)
            up = torch.cholesky(a, True)
            m = torch.chain_matmul(a, b, (c))
            x = torch.lu_solve(b, lu, pivots)
            r = torch.range(0, 5, dtype=torch.int64)
            """,
            """
            import torch

            q, r = torch.linalg.qr(a, mode="complete")
            q, r = torch.linalg.qr(a)
            low = torch.linalg.cholesky(a)
            up = torch.linalg.cholesky(a, upper=True)
            m = torch.linalg.multi_dot([a, b, (c)])
            x = torch.linalg.lu_solve(lu, pivots, b)
            r = torch.arange(0, 6, dtype=torch.int64)
            """,
        ),
        (
            """
            from torch import ger, outer

            z = outer(a, b) + ger(a, b)
            """,
            """
            from torch import outer as ger, outer

            z = outer(a, b) + ger(a, b)
            """,
        ),
        (
            """
            import torch.nn.functional as F

            y = F.upsample_bilinear(x, scale_factor=2)
            """,
            """
            import torch.nn.functional as F

            y = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            """,
        ),
    )

    def message(self, name: str) -> str:
        """Return what the user reads."""
        return f"`{name}` is deprecated"
