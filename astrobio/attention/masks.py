"""The mask convention of this package, and the checks that hold callers to it.

A mask is boolean and True means "this query may attend to this key". There are two kinds, combined with "and":

- `key_mask`, (B, Lk): the same keys are open to every query of a sample, as for padded batches.
- `attention_mask`, broadcastable to (B, H, Lq, Lk): any pattern.

A preference is not a mask: `attention_bias`, floating point and broadcastable to (B, H, Lq, Lk), is added to the
scaled scores, and its -inf entries count as "may not attend".

The causal rule is aligned to the bottom right: query i of Lq sees key j of Lk when j <= i + Lk - Lq, so that the last
query sees every key. That is what decoding through a cache needs. A query with nothing to attend to yields zeros.

A window of w has the same alignment and counts the query's own position: query i stands at position p = i + Lk - Lq
and sees keys with |p - j| < w, of which the causal rule leaves the last w keys. Global tokens (Longformer, Beltagy et
al. 2020, section 3.1) are the first positions of the keys: every query sees them, and a query that is one of them sees
every key. The causal rule and masks hold for them too.

Integer and floating-point masks are refused, because whether 0 blocks or adds nothing is then a guess.
"""

import torch
from torch import Tensor


def causal_mask(query_length: int, key_length: int, *, device: torch.device | None = None) -> Tensor:
    """The causal rule as a bool mask, (query_length, key_length), aligned to the bottom right."""
    allowed = torch.ones(query_length, key_length, dtype=torch.bool, device=device)
    return allowed.tril(diagonal=key_length - query_length)


def positional_mask(
    query_length: int,
    key_length: int,
    *,
    is_causal: bool,
    window: int | None = None,
    num_global_tokens: int = 0,
    device: torch.device | None = None,
) -> Tensor | None:
    """The causal rule and the window as a bool mask, (query_length, key_length); None where they block nothing.

    Args:
        query_length: number of queries, of which the last stands at the last key.
        key_length: number of keys.
        is_causal: whether a query sees no later key.
        window: keys that a query sees at most on either side, itself included; None sees all.
        num_global_tokens: first positions that the window does not concern.
        device: where the mask is wanted.
    """
    offset = key_length - query_length
    if window is None or window >= max(query_length, key_length):
        return causal_mask(query_length, key_length, device=device) if is_causal and query_length > 1 else None
    query_position = torch.arange(query_length, device=device)[:, None] + offset
    key_position = torch.arange(key_length, device=device)
    ahead = query_position - key_position
    allowed = ahead.abs() < window
    if num_global_tokens:
        is_global = (query_position >= 0) & (query_position < num_global_tokens)
        allowed = allowed | (key_position < num_global_tokens) | is_global
    return allowed & (ahead >= 0) if is_causal else allowed


def check_window(window: int | None, num_global_tokens: int) -> None:
    """Accept a window of at least one key, and global tokens only with a window.

    Raises:
        ValueError: otherwise.
    """
    if window is not None and window < 1:
        raise ValueError(f"window counts the query itself and must be at least 1, got {window}")
    if num_global_tokens < 0:
        raise ValueError(f"num_global_tokens must be at least 0, got {num_global_tokens}")
    if num_global_tokens and window is None:
        raise ValueError("num_global_tokens says what a window does not concern, and there is no window")


def check_key_mask(key_mask: Tensor, *, batch: int, key_length: int) -> None:
    """Accept a bool tensor of shape (batch, key_length).

    Raises:
        TypeError: the mask is not boolean.
        ValueError: the mask has another shape.
    """
    _check_is_bool("key_mask", key_mask)
    if key_mask.shape != (batch, key_length):
        raise ValueError(f"key_mask must have shape (B, Lk) = {(batch, key_length)}, got {tuple(key_mask.shape)}")


def check_attention_mask(attention_mask: Tensor, shape: tuple[int, int, int, int]) -> None:
    """Accept a bool tensor that broadcasts to `shape`, (B, H, Lq, Lk).

    Raises:
        TypeError: the mask is not boolean.
        ValueError: the mask does not broadcast to `shape`.
    """
    _check_is_bool("attention_mask", attention_mask)
    _check_broadcasts("attention_mask", attention_mask, shape)


def check_attention_bias(attention_bias: Tensor, shape: tuple[int, int, int, int]) -> None:
    """Accept a floating-point tensor that broadcasts to `shape`, (B, H, Lq, Lk).

    Raises:
        TypeError: the bias is not floating point.
        ValueError: the bias does not broadcast to `shape`.
    """
    if not attention_bias.is_floating_point():
        raise TypeError(
            f"attention_bias must be floating point and is added to the scores, got {attention_bias.dtype}; "
            "to block keys pass a bool attention_mask"
        )
    _check_broadcasts("attention_bias", attention_bias, shape)


def combine_allowed(*masks: Tensor | None) -> Tensor | None:
    """The entries that every given bool mask allows; None when there is no mask."""
    combined: Tensor | None = None
    for mask in masks:
        if mask is not None:
            combined = mask if combined is None else combined & mask
    return combined


def split_bias(attention_bias: Tensor) -> tuple[Tensor, Tensor]:
    """A bias with -inf entries as (finite bias, bool mask of the entries that may be attended to)."""
    blocked = attention_bias == float("-inf")
    return attention_bias.masked_fill(blocked, 0.0), ~blocked  # no mutant: the mask closes the entry all the same


def _check_is_bool(name: str, mask: Tensor) -> None:
    if mask.dtype != torch.bool:
        raise TypeError(f"{name} must be bool with True where a query may attend, got {mask.dtype}")


def _check_broadcasts(name: str, tensor: Tensor, shape: tuple[int, int, int, int]) -> None:
    trailing = zip(reversed(tensor.shape), reversed(shape), strict=False)
    if tensor.dim() > len(shape) or any(size not in (1, full) for size, full in trailing):
        raise ValueError(f"{name} must broadcast to (B, H, Lq, Lk) = {shape}, got {tuple(tensor.shape)}")
