"""Attention through `torch.nn.functional.scaled_dot_product_attention`, which picks a fused kernel where it can."""

import torch
import torch.nn.functional as F
from torch import Tensor

from astrobio.attention.backends.call import AttentionCall

_HALF_TYPES = (torch.float16, torch.bfloat16)


class SdpaBackend:
    """PyTorch's fused attention, called so that it computes what `AttentionCall` says.

    Three of its conventions differ and are handled here: its `is_causal` is aligned to the top left, it must not be
    combined with a mask, and what it returns for a row with nothing to attend depends on the kernel. Windows and linear
    biases become a dense mask; a sink becomes one more key whose value is zero.
    """

    name = "sdpa"

    def unsupported_reason(self, call: AttentionCall) -> str | None:
        """Why PyTorch's kernel cannot compute `call` exactly, or None when it can."""
        if call.key.shape[2] == 0:
            return "there are no keys, and fused kernels do not define a softmax over nothing"
        if call.soft_cap is not None:
            return "it has no soft cap"
        for name, added in (("a bias", call.bias), ("sinks", call.sinks)):
            if added is not None and torch.promote_types(added.dtype, call.query.dtype) != call.query.dtype:
                return f"it takes {name} in the dtype of the query, and {added.dtype} does not fit {call.query.dtype}"
        if call.alibi_slopes is not None and call.query.dtype in _HALF_TYPES:
            return f"it would round linear biases to {call.query.dtype}"
        return None

    def needs_mask(self, call: AttentionCall) -> bool:
        """Whether the call's rules become a dense mask, which flash kernels do not take."""
        is_square = call.query.shape[2] == call.key.shape[2]  # only then do both causal alignments agree
        return bool(call.options - {"dropout_p", "is_causal"}) or (call.is_causal and not is_square)

    def run(self, call: AttentionCall) -> Tensor:
        """The attended values, (B, H, Lq, D), in the dtype of the query."""
        if not self.needs_mask(call):
            return _fused(call, mask=None, is_causal=call.is_causal)
        allowed, bias = call.combined_mask(), _total_bias(call)
        empty_row: Tensor | None = None
        if allowed is not None and call.sinks is None:
            # An empty row is opened, so that every kernel computes a finite softmax, and its output replaced by zeros.
            empty_row = ~allowed.any(dim=-1, keepdim=True)  # (..., Lq, 1)
            allowed = allowed | empty_row
        if call.sinks is not None:
            return _fused(_with_sink(call), mask=_with_sink_scores(call, _as_bias(call, allowed, bias)))
        mask = allowed if bias is None else _as_bias(call, allowed, bias)
        output = _fused(call, mask=mask)
        return output if empty_row is None else output.masked_fill(empty_row, 0.0)


def _total_bias(call: AttentionCall) -> Tensor | None:
    bias = None if call.bias is None else call.bias.to(call.query.dtype)
    linear = call.linear_bias(call.query.dtype)
    if bias is None or linear is None:
        return linear if bias is None else bias
    return bias + linear


def _as_bias(call: AttentionCall, allowed: Tensor | None, bias: Tensor | None) -> Tensor:
    """Mask and bias as what is added to the scores, broadcastable to (B, H, Lq, Lk)."""
    added = call.query.new_zeros(()) if bias is None else bias
    return added if allowed is None else added.masked_fill(~allowed, float("-inf"))


def _with_sink(call: AttentionCall) -> AttentionCall:
    """The call with one more key and value, both zero."""
    return AttentionCall(
        query=call.query,
        key=F.pad(call.key, (0, 0, 0, 1)),
        value=F.pad(call.value, (0, 0, 0, 1)),
        scale=call.scale,
        dropout_p=call.dropout_p,
    )


def _with_sink_scores(call: AttentionCall, added: Tensor) -> Tensor:
    assert call.sinks is not None
    shape = (*call.query.shape[:3], call.key.shape[2])
    sinks = call.sinks.to(call.query.dtype)[:, None, None].expand(*shape[:3], 1)
    return torch.cat((added.expand(shape), sinks), dim=-1)


def _fused(call: AttentionCall, *, mask: Tensor | None, is_causal: bool = False) -> Tensor:
    if mask is not None:
        mask = mask.expand(*call.query.shape[:3], call.key.shape[2])
    return F.scaled_dot_product_attention(
        call.query,
        call.key,
        call.value,
        attn_mask=mask,
        dropout_p=call.dropout_p,
        is_causal=is_causal,
        scale=call.scale,
        enable_gqa=call.group_size > 1,
    )
