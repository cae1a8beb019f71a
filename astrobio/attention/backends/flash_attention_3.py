"""Attention through FlashAttention-3, the module `flash_attn_interface` (Shah et al. 2024, arXiv:2407.08608)."""

from torch import Tensor

from astrobio.attention.backends.call import AttentionCall
from astrobio.attention.backends.libraries import flash_reason, is_installed, keys_left_and_right

MODULE = "flash_attn_interface"
_SUPPORTED = frozenset({"is_causal", "window", "soft_cap"})
_CAPABILITIES = (9,)  # Hopper, https://github.com/Dao-AILab/flash-attention/tree/main/hopper


class Flash3Backend:
    """`flash_attn_func` for Hopper: layout, alignment and windows of the second version, no dropout or slopes."""

    name = "flash_attention_3"

    def unsupported_reason(self, call: AttentionCall) -> str | None:
        """Why the library cannot compute `call` exactly, or None when it can."""
        reason = flash_reason(call, supported=_SUPPORTED, capabilities=_CAPABILITIES)
        if reason is None and not is_installed(MODULE):
            return "flash_attn_interface is not installed; it is built from the flash-attention repository"
        return reason

    def run(self, call: AttentionCall) -> Tensor:
        """The attended values, (B, H, Lq, D), in the dtype of the query."""
        from flash_attn_interface import flash_attn_func

        returned: Tensor | tuple[Tensor, ...] = flash_attn_func(
            call.query.transpose(1, 2),
            call.key.transpose(1, 2),
            call.value.transpose(1, 2),
            softmax_scale=call.scale,
            causal=call.is_causal,
            window_size=keys_left_and_right(call),
            softcap=call.soft_cap or 0.0,
        )
        output = returned[0] if isinstance(returned, tuple) else returned  # its betas returned the log-sums too
        return output.transpose(1, 2)
