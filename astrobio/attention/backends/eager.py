"""Attention written out in matrix products: the definition that other backends are compared with."""

import torch
import torch.nn.functional as F
from torch import Tensor

from astrobio.attention.backends.call import AttentionCall


class EagerBackend:
    """softmax(scores) V, step by step (Vaswani et al. 2017, equation 1), with every option written out.

    In this order: scale * Q K^T; soft cap (Gemma 2, Gemma Team 2024, section 2); additive bias and linear bias (ALiBi,
    Press et al. 2022); masks; softmax, in which a sink (Xiao et al. 2024, in the learned form of gpt-oss, 2025) has a
    share that goes to no value; dropout of the weights; the sum of the values.

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
            if call.soft_cap is not None:
                scores = call.soft_cap * torch.tanh(scores / call.soft_cap)
            for bias in (call.bias, call.linear_bias(call.compute_dtype)):
                if bias is not None:
                    scores = scores + bias.to(call.compute_dtype)
            weights = F.dropout(masked_softmax(scores, call.combined_mask(), sinks=call.sinks), call.dropout_p)
            return (weights @ value).to(call.query.dtype)


def masked_softmax(scores: Tensor, allowed: Tensor | None, *, sinks: Tensor | None = None) -> Tensor:
    """Softmax over the last dimension among the allowed entries; rows without any are zero.

    An empty row takes its softmax over zeros, which is then replaced, so that neither its value nor its gradient
    passes through 0/0.

    Args:
        scores: (..., H, Lq, Lk), floating point.
        allowed: bool, broadcastable to `scores`, True where attention is allowed; None allows all.
        sinks: (H,), a score that every row of a head has besides; its weight is left out of what is returned.
    """
    empty_row: Tensor | None = None
    if allowed is not None:
        empty_row = ~allowed.any(dim=-1, keepdim=True)
        scores = scores.masked_fill(~allowed, float("-inf")).masked_fill(empty_row, 0.0)
    if sinks is None:
        weights = scores.softmax(dim=-1)
    else:
        sink_scores = sinks.to(scores.dtype)[:, None, None].expand(*scores.shape[:-1], 1)
        weights = torch.cat((scores, sink_scores), dim=-1).softmax(dim=-1)[..., :-1]
    return weights if empty_row is None else weights.masked_fill(empty_row, 0.0)
