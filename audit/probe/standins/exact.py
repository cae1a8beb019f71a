"""Attention as every stand-in computes it: in float64, rounded once at the end to the dtype of the query.

Tensors are (B, L, H, D), as the libraries have them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


class NotKnown(NotImplementedError):
    """An argument that the library takes and its stand-in does not: what is called with it is not judged."""


class Misused(RuntimeError):
    """The library would read or write memory that is not its arguments'; what it returns then is undefined."""


@dataclass(frozen=True)
class Attended:
    """`out` is (B, Lq, H, Dv), the log of the sums of exponentials (B, H, Lq), the weights (B, H, Lq, Lk)."""

    out: Tensor
    log_sums: Tensor
    weights: Tensor


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float | None = None,
    allowed: Tensor | None = None,
    bias: Tensor | None = None,
    softcap: float = 0.0,
    dropout: float = 0.0,
) -> Attended:
    """Return softmax(cap(scale * query @ key) + bias) @ value over the allowed keys; an empty row gives zeros.

    Args:
        query: (B, Lq, H, D).
        key: (B, Lk, G, D), where G divides H and heads next to each other share a key head.
        value: (B, Lk, G, Dv).
        scale: 1/sqrt(D) where it is None.
        allowed: bool, broadcast to (B, H, Lq, Lk); all where it is None.
        bias: likewise; added after the cap.
        softcap: c of c * tanh(scores / c); none where it is zero.
        dropout: probability with which a weight is dropped.
    """
    groups = query.shape[2] // key.shape[2]
    q, k, v = (each.double().transpose(1, 2) for each in (query, key, value))  # (B, H, L, D)
    k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    scores = q @ k.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias.double()
    kept = torch.ones_like(scores, dtype=torch.bool) if allowed is None else allowed.expand_as(scores)
    kept = kept & (scores != -torch.inf)
    empty = ~kept.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~kept, -torch.inf)
    weights = scores.masked_fill(empty, 0.0).softmax(dim=-1).masked_fill(empty, 0.0)
    log_sums = scores.masked_fill(empty, 0.0).logsumexp(dim=-1).masked_fill(empty[..., 0], torch.inf)
    dropped = torch.nn.functional.dropout(weights, dropout) if dropout else weights
    return Attended((dropped @ v).transpose(1, 2).to(query.dtype), log_sums.float(), weights)


def band(queries: int, keys: int, *, left: int = -1, right: int = -1, shift: int | None = None) -> Tensor:
    """Return which keys each query may see, (Lq, Lk): from `left` before its place among them to `right` after it.

    Args:
        queries: Lq.
        keys: Lk.
        left: negative is unlimited.
        right: likewise.
        shift: place of the first query; Lk - Lq, where the last query and the last key meet, where it is None.
    """
    place = torch.arange(queries)[:, None] + (keys - queries if shift is None else shift)
    distance = torch.arange(keys)[None, :] - place
    seen = torch.ones(queries, keys, dtype=torch.bool)
    if left >= 0:
        seen &= distance >= -left
    if right >= 0:
        seen &= distance <= right
    return seen


def alibi(slopes: Tensor, queries: int, keys: int) -> Tensor:
    """Return -slope * |place of the query - key|, (B or 1, H, Lq, Lk), for slopes of shape (H,) or (B, H)."""
    place = torch.arange(queries)[:, None] + keys - queries
    distance = (place - torch.arange(keys)[None, :]).abs()
    return -(slopes if slopes.dim() == 2 else slopes[None])[:, :, None, None].double() * distance


def rotated(x: Tensor, cos: Tensor, sin: Tensor, offsets: Tensor, *, interleaved: bool) -> Tensor:
    """Rotate the first features of x (B, L, H, D), its positions beginning at `offsets` (B,) or (B, L) of each sample.

    Args:
        x: what is rotated.
        cos: (positions, half of the rotated features).
        sin: likewise.
        offsets: of the first token, or of each.
        interleaved: whether features 0 and 1 are a pair, or feature 0 and the one half of them later.
    """
    half = cos.shape[-1]
    places = offsets[:, None] + torch.arange(x.shape[1], device=x.device) if offsets.dim() == 1 else offsets
    c, s = (each[places][:, :, None, :].double() for each in (cos, sin))  # (B, L, 1, half)
    part, rest = x[..., : 2 * half].double(), x[..., 2 * half :]
    if interleaved:
        first, second = part[..., ::2], part[..., 1::2]
        turned = torch.stack((first * c - second * s, first * s + second * c), dim=-1).flatten(-2)
    else:
        first, second = part[..., :half], part[..., half:]
        turned = torch.cat((first * c - second * s, first * s + second * c), dim=-1)
    return torch.cat((turned.to(x.dtype), rest), dim=-1)
