"""Attention through FlashAttention-4, the module `flash_attn.cute` of the package `flash-attn-4`, compiled when run."""

from torch import Tensor

from astrobio.attention.backends.call import AttentionCall
from astrobio.attention.backends.libraries import flash_reason, is_installed, keys_left_and_right

MODULE = "flash_attn.cute"
_SUPPORTED = frozenset({"is_causal", "window", "soft_cap"})
_CAPABILITIES = (9, 10)  # Hopper and Blackwell, as flash-attn-4 4.0.0b36 says of itself
_LARGEST_HEAD_DIM = 128  # on both
_ALIGNMENT = 8  # half-type features in 16 bytes, which it checks


class Flash4Backend:
    """`flash_attn_func` of the CuTe version: (B, L, H, D), aligned as the others; None is no limit of a window.

    A beta. Its sinks are left aside, whose gradients only some devices have, and so are queries before the first key,
    of which it does not say what they give.
    """

    name = "flash_attention_4"

    def unsupported_reason(self, call: AttentionCall) -> str | None:
        """Why the library cannot compute `call` exactly, or None when it can."""
        reason = flash_reason(
            call, supported=_SUPPORTED, capabilities=_CAPABILITIES, largest_head_dim=_LARGEST_HEAD_DIM
        )
        if reason is not None:
            return reason
        if call.query.shape[2] > call.key.shape[2] and call.options & {"is_causal", "window"}:
            return "it does not say what a query gives that sees no key"
        if call.query.shape[3] % _ALIGNMENT:
            return f"it takes heads of a multiple of {_ALIGNMENT} features, not {call.query.shape[3]}"
        if not is_installed(MODULE):
            return "flash_attn.cute is not installed; the package is flash-attn-4"
        return None

    def run(self, call: AttentionCall) -> Tensor:
        """The attended values, (B, H, Lq, D), in the dtype of the query."""
        from flash_attn.cute import flash_attn_func

        returned: Tensor | tuple[Tensor, ...] = flash_attn_func(
            call.query.transpose(1, 2),
            call.key.transpose(1, 2),
            call.value.transpose(1, 2),
            softmax_scale=call.scale,
            causal=call.is_causal,
            window_size=keys_left_and_right(call, unlimited=None),
            softcap=call.soft_cap or 0.0,
        )
        output = returned[0] if isinstance(returned, tuple) else returned
        return output.transpose(1, 2)
