"""Attention as a function of tensors, and the choice of the backend that computes it."""

import math
from dataclasses import dataclass

from torch import Tensor

from astrobio.attention.backends import BACKENDS, AttentionBackend, AttentionCall, check_backend_name
from astrobio.attention.masks import check_attention_bias, check_attention_mask, combine_allowed, split_bias


@dataclass(frozen=True)
class BackendSelection:
    """Which backend runs a call.

    Attributes:
        name: the backend that runs.
        not_used: for every other backend, why it does not.
    """

    name: str
    not_used: dict[str, str]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    is_causal: bool = False,
    attention_mask: Tensor | None = None,
    attention_bias: Tensor | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    backend: str = "auto",
) -> Tensor:
    """Softmax attention with grouped-query heads: softmax(scale * Q K^T + bias) V.

    Args:
        query: (B, H, Lq, D), floating point.
        key: (B, Hkv, Lk, D), H a multiple of Hkv. Consecutive query heads share a key/value head: with H = 4 and
            Hkv = 2 the query heads read key/value heads 0, 0, 1, 1.
        value: (B, Hkv, Lk, D).
        is_causal: query i sees keys j <= i + Lk - Lq only (bottom-right alignment).
        attention_mask: bool, broadcastable to (B, H, Lq, Lk), True where a query may attend. On top of `is_causal`.
        attention_bias: floating point, broadcastable to (B, H, Lq, Lk), added to the scaled scores; -inf blocks.
        scale: factor on the dot products; None means 1 / sqrt(D).
        dropout_p: probability with which an attention weight is dropped, whenever it is above 0. A function has no
            training mode; a module passes 0 in evaluation. Backends draw from the same distribution, not the same
            random numbers.
        backend: "auto" takes the first backend that supports the call; a name insists on that one.

    Returns:
        (B, H, Lq, D) in the dtype of `query`. A query with nothing to attend to gives zeros.

    Raises:
        TypeError: wrong dtype of a tensor, mask or bias.
        ValueError: shapes that do not fit, an unknown backend, or one that does not support this call.
    """
    call = _checked_call(query, key, value, is_causal, attention_mask, attention_bias, scale, dropout_p)
    chosen, _ = _choose(call, backend)
    return chosen.run(call)


def select_backend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    is_causal: bool = False,
    attention_mask: Tensor | None = None,
    attention_bias: Tensor | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    backend: str = "auto",
) -> BackendSelection:
    """Which backend `attention` runs for the same arguments, and why the others are not used.

    Raises:
        TypeError, ValueError: as `attention` does.
    """
    call = _checked_call(query, key, value, is_causal, attention_mask, attention_bias, scale, dropout_p)
    chosen, not_used = _choose(call, backend)
    return BackendSelection(name=chosen.name, not_used=not_used)


def _choose(call: AttentionCall, requested: str) -> tuple[AttentionBackend, dict[str, str]]:
    check_backend_name(requested)
    if requested != "auto":
        reason = BACKENDS[requested].unsupported_reason(call)
        if reason is not None:
            raise ValueError(f"attention backend {requested!r} does not support this call: {reason}")
        return BACKENDS[requested], {name: f"{requested} was requested" for name in BACKENDS if name != requested}
    reasons = {name: backend.unsupported_reason(call) for name, backend in BACKENDS.items()}
    chosen = next((name for name, reason in reasons.items() if reason is None), None)
    if chosen is None:
        raise ValueError(f"no attention backend supports this call: {reasons}")
    not_used = {name: reason or f"{chosen} comes first" for name, reason in reasons.items() if name != chosen}
    return BACKENDS[chosen], not_used


def _checked_call(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    is_causal: bool,
    attention_mask: Tensor | None,
    attention_bias: Tensor | None,
    scale: float | None,
    dropout_p: float,
) -> AttentionCall:
    _check_tensors(query, key, value)
    if not 0.0 <= dropout_p < 1.0:
        raise ValueError(f"dropout_p must be in [0, 1), got {dropout_p}")
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"scale must be finite, got {scale}")
    batch, num_heads, query_length, head_dim = query.shape
    scores_shape = (batch, num_heads, query_length, key.shape[2])
    if attention_mask is not None:
        check_attention_mask(attention_mask, scores_shape)
    bias_allowed: Tensor | None = None
    if attention_bias is not None:
        check_attention_bias(attention_bias, scores_shape)
        attention_bias, bias_allowed = split_bias(attention_bias)
    return AttentionCall(
        query=query,
        key=key,
        value=value,
        is_causal=is_causal,
        allowed=combine_allowed(attention_mask, bias_allowed),
        bias=attention_bias,
        scale=1.0 / math.sqrt(head_dim) if scale is None else scale,
        dropout_p=dropout_p,
    )


def _check_tensors(query: Tensor, key: Tensor, value: Tensor) -> None:
    if not query.is_floating_point():
        raise TypeError(f"query must be floating point, got {query.dtype}")
    if not (query.dtype == key.dtype == value.dtype):
        raise TypeError(f"query, key and value must share one dtype, got {query.dtype}, {key.dtype}, {value.dtype}")
    if query.dim() != 4 or key.dim() != 4:
        raise ValueError(
            f"query must be (B, H, Lq, D) and key (B, Hkv, Lk, D), got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    if key.shape != value.shape:
        raise ValueError(f"key and value must have one shape, got {tuple(key.shape)} and {tuple(value.shape)}")
    if query.shape[0] != key.shape[0] or query.shape[3] != key.shape[3]:
        raise ValueError(
            f"query and key must agree in batch and head size, got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    if key.shape[1] == 0 or query.shape[1] % key.shape[1]:
        raise ValueError(f"{query.shape[1]} query heads cannot share {key.shape[1]} key/value heads evenly")
