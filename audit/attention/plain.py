"""The plain computation in the orders of operations in which correct implementations round.

They compute one function and differ by rounding only, so the largest of their errors is what rounding does to a
correct implementation. Those that are left out show as false alarms: fused kernels divide by the sum of the softmax
after the product with the values, einsum over grouped heads adds up the gradients of a whole group in one product.
"""

import math
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from audit.attention.contract import Contract


class Scaled(Enum):
    """Where the scale goes."""

    PRODUCT = "the product of queries and keys"
    QUERY = "the queries"
    BOTH = "queries and keys, a root of it each, as torch's math backend does"


class Divided(Enum):
    """When the sum of the softmax divides."""

    WEIGHTS = "before the product with the values"
    OUTPUT = "after it"
    EXPONENT = "never: its logarithm is subtracted from the logits, as fused kernels do in their backward pass"


class Arranged(Enum):
    """How the sums run."""

    REPEATED = "key heads repeated for each query head"
    REVERSED = "the same, with every sum over features and keys in reverse order"
    SEQUENTIAL = "the same, with the products of a logit added up one after another"
    FOLDED = "the query heads that share a key head in one product"


@dataclass(frozen=True, kw_only=True)
class Order:
    """One order of operations."""

    scaled: Scaled
    divided: Divided
    arranged: Arranged


# A Latin square: any two choices meet in one order.
ORDERS = tuple(
    Order(scaled=scaled, divided=tuple(Divided)[(row + column) % len(Divided)], arranged=arranged)
    for row, scaled in enumerate(Scaled)
    for column, arranged in enumerate(Arranged)
)


def attend(
    query: Tensor,  # (B, H, Lq, D)
    key: Tensor,  # (B, G, Lk, D)
    value: Tensor,  # (B, G, Lk, D)
    allowed: Tensor,  # bool, (B, H, Lq, Lk)
    *,
    contract: Contract,
    order: Order,
    bias: Tensor | None = None,  # (H, Lq, Lk)
    sinks: Tensor | None = None,  # (H,)
) -> Tensor:
    """Return what `oracle.core` does, (B, H, Lq, D), in the dtype of the inputs."""
    heads, kv_heads = query.shape[1], key.shape[1]
    sink = None if sinks is None else sinks[:, None, None].expand(*query.shape[:-1], 1)
    bias = None if bias is None else bias.expand(*query.shape[:-1], key.shape[-2])
    if order.arranged is Arranged.FOLDED:
        query, allowed = (_folded(x, kv_heads, contract.head_grouping) for x in (query, allowed))
        sink, bias = (None if x is None else _folded(x, kv_heads, contract.head_grouping) for x in (sink, bias))
    else:
        key, value = (repeated(x, heads, contract.head_grouping) for x in (key, value))
    if order.arranged is Arranged.REVERSED:
        query, key, value, allowed = query.flip(-1), key.flip(-2, -1), value.flip(-2), allowed.flip(-1)
        bias = None if bias is None else bias.flip(-1)
    scores = _scores(query, key, contract.effective_scale, order)
    if contract.soft_cap is not None:
        scores = contract.soft_cap * torch.tanh(scores / contract.soft_cap)
    scores = scores if bias is None else scores + bias
    has_key, keys = allowed.any(dim=-1, keepdim=True), allowed.shape[-1]
    scores = scores.masked_fill(~allowed & has_key, -math.inf)
    scores = scores if sink is None else torch.cat((scores, sink), dim=-1)
    if order.divided is Divided.WEIGHTS:
        context = emptied(torch.softmax(scores, dim=-1)[..., :keys], has_key, contract) @ value
    elif order.divided is Divided.EXPONENT:
        weights = (scores - scores.logsumexp(dim=-1, keepdim=True)).exp()[..., :keys]
        context = emptied(weights, has_key, contract) @ value
    else:
        weights = (scores - scores.amax(dim=-1, keepdim=True).detach()).exp()
        total = weights.sum(dim=-1, keepdim=True)
        if contract.empty_row == "uniform":
            total = total.masked_fill(~has_key, 1.0)
        context = (emptied(weights[..., :keys], has_key, contract) @ value) / total
    context = contract.value_scale * context
    return context if order.arranged is not Arranged.FOLDED else _unfolded(context, heads, contract.head_grouping)


def emptied(weights: Tensor, has_key: Tensor, contract: Contract) -> Tensor:
    """Return the weights (..., Lq, Lk) with what is declared for the rows that may attend to nothing, else zeros."""
    if contract.empty_row == "uniform":
        return weights.masked_fill(~has_key, 0.0) + (~has_key).to(weights.dtype) / weights.shape[-1]
    if contract.empty_row == "nan":
        return weights.masked_fill(~has_key, math.nan)
    return weights * has_key


def repeated(x: Tensor, heads: int, head_grouping: str) -> Tensor:
    """Return key or value heads (B, G, Lk, D) once for every query head, (B, H, Lk, D)."""
    groups = heads // x.shape[1]
    return x.repeat_interleave(groups, dim=1) if head_grouping == "interleaved" else x.repeat(1, groups, 1, 1)


def _scores(query: Tensor, key: Tensor, scale: float, order: Order) -> Tensor:
    if order.scaled is Scaled.QUERY:
        query = query * scale
    elif order.scaled is Scaled.BOTH:
        root = abs(scale) ** 0.5
        query, key = query * math.copysign(root, scale), key * root
    if order.arranged is Arranged.SEQUENTIAL:
        scores = (query.unsqueeze(-2) * key.unsqueeze(-3)).cumsum(dim=-1)[..., -1]
    else:
        scores = query @ key.transpose(-2, -1)
    return scores * scale if order.scaled is Scaled.PRODUCT else scores


def _folded(x: Tensor, kv_heads: int, head_grouping: str) -> Tensor:
    """Put the query heads that share a key head one after another: (B, H, Lq, X) to (B, G, H / G * Lq, X)."""
    batch, _, length, features = x.shape
    if head_grouping == "tiled":
        x = x.view(batch, -1, kv_heads, length, features).transpose(1, 2)
    return x.reshape(batch, kv_heads, -1, features)


def _unfolded(x: Tensor, heads: int, head_grouping: str) -> Tensor:
    """Undo `_folded`."""
    batch, kv_heads, rows, features = x.shape
    groups = heads // kv_heads
    if head_grouping == "tiled":
        x = x.view(batch, kv_heads, groups, rows // groups, features).transpose(1, 2)
    return x.reshape(batch, heads, -1, features)
