"""Attention through `torch.nn.functional.scaled_dot_product_attention`, which picks a fused kernel where it can."""

import torch
import torch.nn.functional as F
from torch import Tensor

from astrobio.attention.backends.call import AttentionCall


class SdpaBackend:
    """PyTorch's fused attention, called so that it computes what `AttentionCall` says.

    Three of its conventions differ and are handled here: its `is_causal` is aligned to the top left, it must not be
    combined with a mask, and what it returns for a row with nothing to attend depends on the kernel.
    """

    name = "sdpa"

    def unsupported_reason(self, call: AttentionCall) -> str | None:
        """Why PyTorch's kernel cannot compute `call` exactly, or None when it can."""
        if call.key.shape[2] == 0:
            return "there are no keys, and fused kernels do not define a softmax over nothing"
        if call.bias is not None and torch.promote_types(call.bias.dtype, call.query.dtype) != call.query.dtype:
            return f"it takes a bias in the dtype of the query, and {call.bias.dtype} does not fit {call.query.dtype}"
        return None

    def run(self, call: AttentionCall) -> Tensor:
        """The attended values, (B, H, Lq, D), in the dtype of the query."""
        square = call.query.shape[2] == call.key.shape[2]  # only then do both causal alignments agree
        if call.is_causal_restrictive and square and call.allowed is None and call.bias is None:
            return _fused(call, mask=None, is_causal=True)
        allowed = call.combined_mask()
        if allowed is None:
            return _fused(call, mask=_in_query_dtype(call), is_causal=False)
        # An empty row is opened, so that every kernel computes a finite softmax, and its output replaced by zeros.
        empty_row = ~allowed.any(dim=-1, keepdim=True)  # (..., Lq, 1)
        allowed = allowed | empty_row
        bias = _in_query_dtype(call)
        mask = allowed if bias is None else bias.masked_fill(~allowed, float("-inf"))
        return _fused(call, mask=mask, is_causal=False).masked_fill(empty_row, 0.0)


def _in_query_dtype(call: AttentionCall) -> Tensor | None:
    return None if call.bias is None else call.bias.to(call.query.dtype)


def _fused(call: AttentionCall, *, mask: Tensor | None, is_causal: bool) -> Tensor:
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
