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
from audit.attention.plain import Arranged, Order, attend, emptied, repeated


@dataclass(frozen=True, kw_only=True)
class Departure:
    """Ways of computing something else, for naming what a wrong implementation does; the default departs in nothing."""

    causal: bool | None = None
    mask: str = "keep"
    turned: tuple[int, int, int] = (1, 1, 0)  # how queries, keys and values are rotated: the other way for -1, 0: not
    mixed_angles: bool = False  # whether pairs of one layout are rotated by angles that are laid out for the other
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
    sinks: Tensor | None = None,  # (H,), one more logit for each head, whose weight goes to no value
    features: Tensor | None = None,  # (m, D), the directions of positive random features
    order: Order | None = None,
    departure: Departure = FAITHFUL,
) -> Tensor:
    """Return softmax(scale * query key^T) value, (B, H, Lq, D), in the dtype of the inputs, or what is declared for it.

    A query that may attend to nothing gets zeros, unless the mean of all values or NaN is declared.
    """
    allowed = allowed_keys(query, key, contract=contract, is_causal=is_causal, mask=mask, departure=departure)
    bias = linear_bias(query, key, contract=contract)
    is_faithful = departure.softmax_axis == FAITHFUL.softmax_axis
    if contract.feature_map is not None:
        weights = linear_weights(query, key, allowed, contract=contract, features=features, order=order)
    elif order is not None and is_faithful:
        return attend(query, key, value, allowed, contract=contract, order=order, bias=bias, sinks=sinks)
    else:
        scores = logits(query, key, contract=contract)
        has_key = allowed.any(dim=-1, keepdim=True)
        # A row without keys keeps its scores, so that its softmax and gradient stay finite, and is filled afterwards.
        # Over another axis a hidden key has queries alone that do not see it: only a finite score leaves a number.
        hidden = ~allowed & has_key if is_faithful else ~allowed
        scores = scores.masked_fill(hidden, -math.inf if is_faithful else torch.finfo(scores.dtype).min)
        if sinks is not None:
            scores = torch.cat((scores, sinks[:, None, None].expand(*scores.shape[:-1], 1)), dim=-1)
        weights = torch.softmax(scores, dim=departure.softmax_axis)[..., : key.shape[-2]]
        if is_faithful or contract.empty_row == "zeros":
            weights = emptied(weights, has_key, contract)
    return contract.value_scale * (weights @ repeated(value, query.shape[1], contract.head_grouping))


def logits(query: Tensor, key: Tensor, *, contract: Contract) -> Tensor:
    """Return scale * query key^T, (B, H, Lq, Lk), capped and with linear biases where these are declared."""
    bias = linear_bias(query, key, contract=contract)
    key = repeated(key, query.shape[1], contract.head_grouping)
    scores = (query @ key.transpose(-2, -1)) * contract.effective_scale
    if contract.soft_cap is not None:
        scores = contract.soft_cap * torch.tanh(scores / contract.soft_cap)
    return scores if bias is None else scores + bias


def linear_bias(query: Tensor, key: Tensor, *, contract: Contract) -> Tensor | None:
    """Return -slope * |query - key|, (H, Lq, Lk), in the dtype of the queries; None where no slopes are declared."""
    if contract.slopes is None:
        return None
    slopes = torch.tensor(contract.slopes, dtype=query.dtype)
    return -slopes[:, None, None] * _ahead(query, key, contract).abs()


def linear_weights(
    query: Tensor,
    key: Tensor,
    allowed: Tensor,
    *,
    contract: Contract,
    features: Tensor | None = None,
    order: Order | None = None,
) -> Tensor:
    """Return the weights of linear attention in its quadratic form, (B, H, Lq, Lk): products of features.

    Each row is divided by its sum unless `rows_sum_to_one` is declared False.
    """
    key = repeated(key, query.shape[1], contract.head_grouping)
    if contract.feature_map == "softmax":  # Shen et al. 2021, arXiv:1812.01243: over features, and keys over positions
        used = allowed.any(dim=-2).unsqueeze(-1)
        key = key.masked_fill(~used & used.any(dim=-2, keepdim=True), -math.inf)
        query, key = torch.softmax(query, dim=-1), torch.softmax(key, dim=-2)
    elif contract.feature_map == "positive_random":
        assert features is not None
        query, key = (_positive_random(x, features) for x in (query, key))
        if contract.rows_sum_to_one is not False:  # a factor of each query's features that the division takes out
            query = query - query.detach().amax(dim=-1, keepdim=True)
        query, key = query.exp(), key.exp()
    else:
        query, key = _features(query, contract.feature_map), _features(key, contract.feature_map)
    if order is not None and order.arranged is Arranged.REVERSED:
        query, key = query.flip(-1), key.flip(-1)
    weights = (query @ key.transpose(-2, -1)).masked_fill(~allowed, 0.0)
    if contract.rows_sum_to_one is False:
        return weights
    has_key = allowed.any(dim=-1, keepdim=True)
    return weights / weights.sum(dim=-1, keepdim=True).masked_fill(~has_key, 1.0)


def _features(x: Tensor, feature_map: str | None) -> Tensor:
    if feature_map == "elu_plus_one":
        return torch.nn.functional.elu(x) + 1
    return torch.relu(x) if feature_map == "relu" else torch.exp(x)


def _positive_random(x: Tensor, features: Tensor) -> Tensor:
    """Return the logarithms of the features of FAVOR+, (..., m) (Choromanski et al. 2021, arXiv:2009.14794, lemma 1).

    For x / D^(1/4), so that the products of features estimate exp(q.k / sqrt(D)).
    """
    x = x * x.shape[-1] ** -0.25
    return x @ features.to(x.dtype).T - x.square().sum(dim=-1, keepdim=True) / 2 - math.log(features.shape[0]) / 2


def _ahead(query: Tensor, key: Tensor, contract: Contract) -> Tensor:
    """Return by how many positions each query lies after each key: (Lq, Lk)."""
    return _positions(query, key, contract) - torch.arange(key.shape[-2])


def _positions(query: Tensor, key: Tensor, contract: Contract) -> Tensor:
    """Return the position of each query among the keys: (Lq, 1)."""
    length_q, length_k = query.shape[-2], key.shape[-2]
    offset = length_k - length_q if contract.causal_alignment == "bottom_right" else 0
    return torch.arange(length_q)[:, None] + offset


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
    allowed = torch.ones(*query.shape[:-1], key.shape[-2], dtype=torch.bool)
    ahead = _ahead(query, key, contract)
    replaced = mask is not None and contract.given_mask == "replaces"
    if (is_causal if departure.causal is None else departure.causal) and not replaced:
        allowed &= ahead >= 0
    if contract.reach is not None:
        allowed &= (ahead.abs() < contract.reach) | _are_global(query, key, contract)
    if mask is not None and departure.mask != "ignored":
        allowed = allowed & (~mask if departure.mask == "inverted" else mask)
    return allowed


def _are_global(query: Tensor, key: Tensor, contract: Contract) -> Tensor:
    """Return which pairs hold one of the global tokens, (Lq, Lk): no window concerns these."""
    count, queries = contract.num_global_tokens or 0, _positions(query, key, contract)
    return ((queries >= 0) & (queries < count)) | (torch.arange(key.shape[-2]) < count)


def module(
    state: Mapping[str, Tensor],
    hidden_states: Tensor,  # (B, L, E)
    *,
    contract: Contract,
    context: Tensor | None = None,  # (B, Lk, context_dim), what keys and values are made of; None: the hidden states
    key_mask: Tensor | None = None,  # bool, (B, Lk), True = may attend
    order: Order | None = None,
    departure: Departure = FAITHFUL,
) -> Tensor:
    """Return the output of an attention module with the given weights, (B, L, E), in the dtype of its input."""
    assert contract.projections is not None
    reverse = order is not None and order.arranged is Arranged.REVERSED
    query, key, value = projected(
        state, hidden_states, contract=contract, context=context, departure=departure, reverse_sums=reverse
    )
    mask = None if key_mask is None else key_mask[:, None, None, :]
    attended = core(
        query,
        key,
        value,
        contract=contract,
        is_causal=bool(contract.is_causal),
        mask=mask,
        sinks=None if contract.sinks is None else state[contract.sinks].flatten(),
        features=None if contract.random_features is None else state[contract.random_features],
        order=order,
        departure=departure,
    )
    return _linear(state, contract.projections.output, attended.transpose(1, 2).flatten(2), reverse_sums=reverse)


def projected(
    state: Mapping[str, Tensor],
    hidden_states: Tensor,  # (B, L, E)
    *,
    contract: Contract,
    context: Tensor | None = None,  # (B, Lk, context_dim), what keys and values are made of; None: the hidden states
    reverse_sums: bool = False,
    departure: Departure = FAITHFUL,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return query (B, H, L, D), key and value (B, G, Lk, D) of an attention module, rotated if it rotates."""
    assert contract.projections is not None
    names = contract.projections
    attended = hidden_states if context is None else context
    query, key, value = (
        _heads(_linear(state, name, x, reverse_sums=reverse_sums), heads)
        for name, x, heads in (
            (names.query, hidden_states, contract.heads),
            (names.key, attended, contract.kv_heads),
            (names.value, attended, contract.kv_heads),
        )
    )
    if contract.rotary_base is None:
        return query, key, value
    mixed = departure.mixed_angles
    query, key, value = (
        rotate(x, contract, sense=sense, mixed_angles=mixed) if sense else x
        for x, sense in zip((query, key, value), departure.turned, strict=True)
    )
    return query, key, value


def rotate(x: Tensor, contract: Contract, *, sense: int = 1, mixed_angles: bool = False) -> Tensor:
    """Rotate pairs of features by position * base^(-2i/D) (Su et al. 2021, arXiv:2104.09864, equation 15).

    Angles in float64 for float64 input and in float32 otherwise, as careful implementations do.
    """
    assert contract.rotary_base is not None
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    half = contract.dim // 2
    frequencies = contract.rotary_base ** (-torch.arange(half, dtype=dtype) / half)
    angles = sense * torch.arange(x.shape[-2], dtype=dtype)[:, None] * frequencies  # (L, D/2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    layout = contract.rotary_layout
    (cos, cos_of_second), (sin, sin_of_second) = (cos, cos), (sin, sin)
    if mixed_angles:
        other = "interleaved" if layout == "half" else "half"
        (cos, cos_of_second), (sin, sin_of_second) = (_pairs(_features_of(x, x, other), layout) for x in (cos, sin))
    first, second = _pairs(x, layout)
    return _features_of(first * cos - second * sin, second * cos_of_second + first * sin_of_second, layout)


def _pairs(x: Tensor, layout: str) -> tuple[Tensor, Tensor]:
    """Return the first and the second of each pair of features, (..., D/2)."""
    if layout == "half":
        half = x.shape[-1] // 2
        return x[..., :half], x[..., half:]
    return x[..., 0::2], x[..., 1::2]


def _features_of(first: Tensor, second: Tensor, layout: str) -> Tensor:
    """Return what `_pairs` takes apart, (..., D)."""
    if layout == "half":
        return torch.cat((first, second), dim=-1)
    return torch.stack((first, second), dim=-1).flatten(-2)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)  # (B, L, H*D) -> (B, H, L, D)


def _linear(state: Mapping[str, Tensor], name: str, x: Tensor, *, reverse_sums: bool) -> Tensor:
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    if reverse_sums:
        weight, x = weight.flip(-1), x.flip(-1)
    return torch.nn.functional.linear(x, weight, bias)
