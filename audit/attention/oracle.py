"""Softmax attention as it is defined, written for reading (Vaswani et al. 2017, arXiv:1706.03762, section 3.2).

In float64 it is the oracle. In the tested dtype, in several orders of operations (`plain.py`), it is the plain
computation from which bounds are derived. Shapes: B batch, H heads, G key/value heads, Lq and Lk lengths, D head_dim,
E embed_dim.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from audit.attention.contract import Contract
from audit.attention.plain import Arranged, Order, attend, repeated


@dataclass(frozen=True, kw_only=True)
class Departure:
    """Ways of computing something else, for naming what a wrong implementation does; the default departs in nothing."""

    causal: bool | None = None
    mask: str = "keep"
    rotary: bool = True
    softmax_axis: int = -1


FAITHFUL = Departure()


def core(
    query: Tensor,  # (B, H, Lq, D)
    key: Tensor,  # (B, G, Lk, D)
    value: Tensor,  # (B, G, Lk, D)
    *,
    contract: Contract,
    is_causal: bool,
    mask: Tensor | None = None,  # bool, broadcastable to (B, H, Lq, Lk), True = may attend
    order: Order | None = None,
    departure: Departure = FAITHFUL,
) -> Tensor:
    """Return softmax(scale * query key^T) value, (B, H, Lq, D), in the dtype of the inputs.

    A query that may attend to nothing gets zeros.
    """
    allowed = allowed_keys(query, key, contract=contract, is_causal=is_causal, mask=mask, departure=departure)
    if order is not None:
        return attend(query, key, value, allowed, contract=contract, order=order)
    scores = logits(query, key, contract=contract)
    has_key = allowed.any(dim=-1, keepdim=True)
    # A row without keys keeps its scores, so that its softmax and gradient stay finite, and is zeroed afterwards.
    scores = scores.masked_fill(~allowed & has_key, -math.inf)
    weights = torch.softmax(scores, dim=departure.softmax_axis) * has_key
    return weights @ repeated(value, query.shape[1], contract.head_grouping)


def logits(query: Tensor, key: Tensor, *, contract: Contract) -> Tensor:
    """Return scale * query key^T, (B, H, Lq, Lk)."""
    key = repeated(key, query.shape[1], contract.head_grouping)
    return (query @ key.transpose(-2, -1)) * contract.effective_scale


def allowed_keys(
    query: Tensor,
    key: Tensor,
    *,
    contract: Contract,
    is_causal: bool,
    mask: Tensor | None = None,
    departure: Departure = FAITHFUL,
) -> Tensor:
    """Return which keys each query may attend to: bool, (B, H, Lq, Lk)."""
    length_q, length_k = query.shape[-2], key.shape[-2]
    allowed = torch.ones(*query.shape[:-1], length_k, dtype=torch.bool)
    offset = length_k - length_q if contract.causal_alignment == "bottom_right" else 0
    if is_causal if departure.causal is None else departure.causal:
        allowed &= torch.ones(length_q, length_k, dtype=torch.bool).tril(diagonal=offset)
    if contract.window is not None:
        distance = torch.arange(length_q)[:, None] + offset - torch.arange(length_k)
        allowed &= distance.abs() < contract.window
    if mask is not None and departure.mask != "ignored":
        allowed = allowed & (~mask if departure.mask == "inverted" else mask)
    return allowed


def module(
    state: Mapping[str, Tensor],
    hidden_states: Tensor,  # (B, L, E)
    *,
    contract: Contract,
    key_mask: Tensor | None = None,  # bool, (B, L), True = may attend
    order: Order | None = None,
    departure: Departure = FAITHFUL,
) -> Tensor:
    """Return the output of a self-attention module with the given weights, (B, L, E), in the dtype of its input."""
    assert contract.projections is not None
    reverse = order is not None and order.arranged is Arranged.REVERSED
    query, key, value = projected(
        state, hidden_states, contract=contract, rotary=departure.rotary, reverse_sums=reverse
    )
    mask = None if key_mask is None else key_mask[:, None, None, :]
    context = core(
        query,
        key,
        value,
        contract=contract,
        is_causal=bool(contract.is_causal),
        mask=mask,
        order=order,
        departure=departure,
    )
    return _linear(state, contract.projections.output, context.transpose(1, 2).flatten(2), reverse_sums=reverse)


def projected(
    state: Mapping[str, Tensor],
    hidden_states: Tensor,  # (B, L, E)
    *,
    contract: Contract,
    rotary: bool = True,
    reverse_sums: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return query (B, H, L, D), key and value (B, G, L, D) of a self-attention module, rotated if it rotates."""
    assert contract.projections is not None
    names = contract.projections
    query, key, value = (
        _heads(_linear(state, name, hidden_states, reverse_sums=reverse_sums), heads)
        for name, heads in (
            (names.query, contract.heads),
            (names.key, contract.kv_heads),
            (names.value, contract.kv_heads),
        )
    )
    if contract.rotary_base is not None and rotary:
        query, key = rotate(query, contract), rotate(key, contract)
    return query, key, value


def rotate(x: Tensor, contract: Contract) -> Tensor:
    """Rotate pairs of features by position * base^(-2i/D) (Su et al. 2021, arXiv:2104.09864, equation 15).

    Angles in float64 for float64 input and in float32 otherwise, as careful implementations do.
    """
    assert contract.rotary_base is not None
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    half = contract.dim // 2
    frequencies = contract.rotary_base ** (-torch.arange(half, dtype=dtype) / half)
    angles = torch.arange(x.shape[-2], dtype=dtype)[:, None] * frequencies  # (L, D/2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    if contract.rotary_layout == "half":
        first, second = x[..., :half], x[..., half:]
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    first, second = x[..., 0::2], x[..., 1::2]
    return torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-1).flatten(-2)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)  # (B, L, H*D) -> (B, H, L, D)


def _linear(state: Mapping[str, Tensor], name: str, x: Tensor, *, reverse_sums: bool) -> Tensor:
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    if reverse_sums:
        weight, x = weight.flip(-1), x.flip(-1)
    return torch.nn.functional.linear(x, weight, bias)
