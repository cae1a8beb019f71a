"""Attention written out in matrix products: the definition that other backends are compared with."""

import torch
import torch.nn.functional as F
from torch import Tensor

from astrobio.attention.backends.call import AttentionCall


class EagerBackend:
    """softmax(scale * Q K^T + bias) V, step by step (Vaswani et al. 2017, equation 1).

    Half types are computed in float32 and rounded once, at the end, also under autocast. Runs on any device and
    supports every call; needs memory for the (B, H, Lq, Lk) weights.
    """

    name = "eager"

    def unsupported_reason(self, call: AttentionCall) -> str | None:
        """None: this backend computes every call."""
        return None

    def run(self, call: AttentionCall) -> Tensor:
        """The attended values, (B, H, Lq, D), in the dtype of the query."""
        with torch.autocast(call.query.device.type, enabled=False):
            query = call.query.to(call.compute_dtype)
            key = call.key.to(call.compute_dtype).repeat_interleave(call.group_size, dim=1)
            value = call.value.to(call.compute_dtype).repeat_interleave(call.group_size, dim=1)
            scores = query @ key.transpose(-2, -1) * call.scale  # (B, H, Lq, Lk)
            if call.bias is not None:
                scores = scores + call.bias.to(call.compute_dtype)
            weights = F.dropout(masked_softmax(scores, call.combined_mask()), call.dropout_p)
            return (weights @ value).to(call.query.dtype)


def masked_softmax(scores: Tensor, allowed: Tensor | None) -> Tensor:
    """Softmax over the last dimension among the allowed entries; rows without any are zero.

    An empty row takes its softmax over zeros, which is then replaced, so that neither its value nor its gradient
    passes through 0/0.

    Args:
        scores: (..., Lq, Lk), floating point.
        allowed: bool, broadcastable to `scores`, True where attention is allowed; None allows all.
    """
    if allowed is None:
        return scores.softmax(dim=-1)
    empty_row = ~allowed.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~allowed, float("-inf")).masked_fill(empty_row, 0.0)
    return scores.softmax(dim=-1).masked_fill(empty_row, 0.0)
