"""Attention within a window, computed block by block: the cost grows linearly with the length."""

from dataclasses import dataclass
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from astrobio.attention.alibi import linear_bias_at
from astrobio.attention.cache import Cache, KVCache, SlidingKVCache
from astrobio.attention.config import AttentionConfig
from astrobio.attention.functional import AttentionOptions, attention
from astrobio.attention.masks import check_key_mask, check_window
from astrobio.attention.multi_head import MultiHeadAttention


def local_attention(
    query: Tensor, key: Tensor, value: Tensor, *, backend: str = "auto", **options: Unpack[AttentionOptions]
) -> Tensor:
    """`attention` with the same options, in blocks (Longformer, Beltagy et al. 2020, section 3.1).

    Queries are cut into blocks of the window's size, and each block attends to the slab of keys that any of its queries
    sees: for a window of w, 2 w - 1 of them with the causal rule and 3 w - 2 without. With g global tokens, time and
    memory are O(Lq * (w + g) + g * Lk).

    Args:
        query: (B, H, Lq, D).
        key: (B, Hkv, Lk, D).
        value: (B, Hkv, Lk, D).
        backend: of the blocks, "auto" or a name.
        **options: those of `attention`, with a window and without `attention_mask` and `attention_bias`, which have as
            many entries as there are pairs.

    Returns:
        (B, H, Lq, D) in the dtype of `query`.

    Raises:
        TypeError: as `attention` does.
        ValueError: as `attention` does, without a window, and for a mask or bias of pairs.
    """
    window, num_global = options.get("window"), options.get("num_global_tokens", 0)
    if window is None:
        raise ValueError("local attention needs a window")
    check_window(window, num_global)
    for name, of_pairs in (("mask", options.get("attention_mask")), ("bias", options.get("attention_bias"))):
        if of_pairs is not None:
            raise ValueError(f"an attention_{name} has an entry for every pair, which local attention does not compute")
    if window >= max(query.shape[2], key.shape[2]) or 0 in (query.shape[2], key.shape[2]):
        return attention(query, key, value, backend=backend, **options)
    key_mask, slopes, is_causal = options.get("key_mask"), options.get("alibi_slopes"), options.get("is_causal", False)
    if key_mask is not None:
        check_key_mask(key_mask, batch=query.shape[0], key_length=key.shape[2])
    blocks = _Blocks.of(query, key, window=window, is_causal=is_causal, num_global=num_global)
    within: AttentionOptions = options | {
        "is_causal": False,
        "window": None,
        "num_global_tokens": 0,
        "alibi_slopes": None,
        "key_mask": None if key_mask is None else blocks.slabs(key_mask[:, None, :, None])[:, 0, :, 0],
        "attention_mask": blocks.allowed.repeat(query.shape[0], 1, 1)[:, None],
        "attention_bias": None if slopes is None else blocks.linear_bias(slopes, batch=query.shape[0]),
    }
    attended = attention(blocks.queries(query), blocks.slabs(key), blocks.slabs(value), backend=backend, **within)
    attended = blocks.joined(attended, batch=query.shape[0])[:, :, : query.shape[2]]
    start = min(max(0, -blocks.first), query.shape[2])  # the first query that stands at a key
    end = max(start, min(query.shape[2], num_global - blocks.first))
    if start == end:
        return attended
    seen = blocks.first + end if is_causal else key.shape[2]  # keys that the last global query sees
    bias = None
    if slopes is not None:
        position = torch.arange(seen, device=query.device)
        bias = linear_bias_at(slopes, position[blocks.first + start : blocks.first + end], position)
    everywhere: AttentionOptions = options | {
        "window": None,
        "num_global_tokens": 0,
        "alibi_slopes": None,
        "key_mask": None if key_mask is None else key_mask[:, :seen],
        "attention_bias": bias,
    }
    of_global = query[:, :, start:end]
    from_global = attention(of_global, key[:, :, :seen], value[:, :, :seen], backend=backend, **everywhere)
    return torch.cat((attended[:, :, :start], from_global, attended[:, :, end:]), dim=2)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Which queries and keys meet in each block.

    Attributes:
        first: position of the first query among the keys; negative where there are more queries than keys.
        num_padded: positions added before the first and after the last key, so that every slab is whole; below 0 where
            keys that no query sees are left out.
        query_position: (blocks, block).
        key_position: (blocks, slab); global tokens come first.
        allowed: bool, (blocks, block, slab).
        num_global: global tokens among the keys.
    """

    first: int
    num_padded: tuple[int, int]
    query_position: Tensor
    key_position: Tensor
    allowed: Tensor
    num_global: int

    @classmethod
    def of(cls, query: Tensor, key: Tensor, *, window: int, is_causal: bool, num_global: int) -> "_Blocks":
        query_length, key_length = query.shape[2], key.shape[2]
        num_global = min(num_global, key_length)
        block = min(window, query_length)
        count = -(-query_length // block)
        first = key_length - query_length
        later = 0 if is_causal else window - 1  # keys after its own that a query sees
        slab = window - 1 + block + later
        starts = first + block * torch.arange(count, device=query.device)[:, None]
        query_position = starts + torch.arange(block, device=query.device)
        key_position = starts - (window - 1) + torch.arange(slab, device=query.device)
        ahead = query_position[:, :, None] - key_position[:, None, :]
        exists = (key_position >= num_global) & (key_position < key_length)  # global tokens have columns of their own
        allowed = (ahead.abs() < window) & exists[:, None, :]
        if num_global:
            columns = torch.arange(num_global, device=query.device).expand(count, -1)
            key_position = torch.cat((columns, key_position), dim=1)
            allowed = torch.cat((allowed.new_ones(count, block, num_global), allowed), dim=2)
        if is_causal:
            allowed = allowed & (query_position[:, :, None] >= key_position[:, None, :])
        padded = (window - 1 - first, first + count * block + later - key_length)
        return cls(first, padded, query_position, key_position, allowed, num_global)

    def queries(self, query: Tensor) -> Tensor:
        """The queries by block, (B * blocks, H, block, D)."""
        count, block = self.query_position.shape
        padded = F.pad(query, (0, 0, 0, count * block - query.shape[2]))
        by_block = padded.reshape(*query.shape[:2], count, block, query.shape[3])
        return by_block.transpose(1, 2).flatten(0, 1)

    def joined(self, attended: Tensor, *, batch: int) -> Tensor:
        """Blocks put together again, (B * blocks, H, block, D) -> (B, H, blocks * block, D)."""
        by_block = attended.view(batch, -1, *attended.shape[1:])
        return by_block.transpose(1, 2).flatten(2, 3)

    def linear_bias(self, slopes: Tensor, *, batch: int) -> Tensor:
        """The linear biases within each block, (B * blocks, H, block, slab)."""
        return linear_bias_at(slopes, self.query_position, self.key_position).repeat(batch, 1, 1, 1)

    def slabs(self, keys: Tensor) -> Tensor:
        """The keys, values or mask that each block sees, (B, Hkv, Lk, D) -> (B * blocks, Hkv, slab, D)."""
        count, block = self.query_position.shape
        size = self.key_position.shape[1] - self.num_global
        by_block = (
            F.pad(keys, (0, 0, *self.num_padded)).unfold(2, size, block).movedim(4, 3)
        )  # (B, Hkv, blocks, slab, D)
        if self.num_global:
            shared = keys[:, :, None, : self.num_global].expand(-1, -1, count, -1, -1)
            by_block = torch.cat((shared, by_block), dim=3)
        return by_block.transpose(1, 2).flatten(0, 1)


class SlidingWindowAttention(MultiHeadAttention):
    """Self-attention within a window, whose cost grows linearly with the length on every device.

    It computes what `MultiHeadAttention` does with the same configuration and weights, by `local_attention`.
    """

    def __init__(self, config: AttentionConfig) -> None:
        """Build the layer.

        Raises:
            ValueError: `config` has no window.
        """
        if config.window is None:
            raise ValueError("sliding-window attention needs a window")
        super().__init__(config)

    def new_cache(self) -> Cache:
        """An empty cache that fits the layer: without growth, where the configuration allows it."""
        config = self.config
        if not config.is_causal or config.window is None or (config.alibi and config.num_global_tokens):
            return KVCache()
        return SlidingKVCache(window=config.window, num_global_tokens=config.num_global_tokens)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions) -> Tensor:
        """The attended heads, block by block."""
        return local_attention(query, key, value, backend=self.config.backend, **options)
