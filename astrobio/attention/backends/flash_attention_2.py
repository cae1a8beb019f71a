"""Attention through FlashAttention-2, the package `flash_attn` (Dao 2023, arXiv:2307.08691)."""

from torch import Tensor

from astrobio.attention.backends.call import AttentionCall
from astrobio.attention.backends.libraries import flash_reason, is_installed, keys_left_and_right

MODULE = "flash_attn.flash_attn_interface"  # `flash_attn` alone may be a part of FlashAttention-4
_SUPPORTED = frozenset({"is_causal", "window", "soft_cap", "alibi_slopes", "dropout_p"})
_CAPABILITIES = (8, 9, 10, 12)  # Ampere to Blackwell, https://github.com/Dao-AILab/flash-attention, read for 2.8.3


class Flash2Backend:
    """`flash_attn_func`: tensors are (B, L, H, D), causal rule and windows are aligned with the last query and key.

    Rows with nothing to attend to give zeros. It takes no masks, biases or sinks. A window counts the keys to the left
    and right of the query's own. Slopes are float32.
    """

    name = "flash_attention_2"

    def unsupported_reason(self, call: AttentionCall) -> str | None:
        """Why the library cannot compute `call` exactly, or None when it can."""
        reason = flash_reason(call, supported=_SUPPORTED, capabilities=_CAPABILITIES)
        if reason is not None:
            return reason
        if {"soft_cap", "dropout_p"} <= call.options:
            return "it has no dropout together with a soft cap"
        if not is_installed(MODULE):
            return "flash_attn is not installed; the extra `kernels` brings it"
        return None

    def run(self, call: AttentionCall) -> Tensor:
        """The attended values, (B, H, Lq, D), in the dtype of the query."""
        from flash_attn.flash_attn_interface import flash_attn_func

        slopes = call.alibi_slopes
        output: Tensor = flash_attn_func(
            call.query.transpose(1, 2),
            call.key.transpose(1, 2),
            call.value.transpose(1, 2),
            dropout_p=call.dropout_p,
            softmax_scale=call.scale,
            causal=call.is_causal,
            window_size=keys_left_and_right(call),
            softcap=call.soft_cap or 0.0,
            alibi_slopes=None if slopes is None else slopes.detach().float().contiguous(),
        )
        return output.transpose(1, 2)
