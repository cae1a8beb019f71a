"""Attention between chosen blocks of positions only (Child et al. 2019; Big Bird, Zaheer et al. 2020).

A layout says which blocks of queries see which blocks of keys; the cost is that of the pairs of blocks it opens.
"""

from dataclasses import replace
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from astrobio.attention.alibi import linear_bias_at
from astrobio.attention.config import AttentionConfig
from astrobio.attention.functional import AttentionOptions, attention, check_tensors
from astrobio.attention.masks import check_key_mask
from astrobio.attention.multi_head import MultiHeadAttention


def big_bird_layout(
    num_blocks: int,
    *,
    num_neighbours: int = 1,
    num_global: int = 1,
    num_random: int = 0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The layout of Big Bird (Zaheer et al. 2020, section 2): neighbours, global blocks and random ones.

    Args:
        num_blocks: blocks of positions.
        num_neighbours: blocks on either side that a block sees besides itself.
        num_global: first blocks, which see all blocks and are seen by all.
        num_random: further blocks that each block sees, drawn without regard to what it sees already.
        generator: of the random blocks; None draws from torch's global one.

    Returns:
        Bool, (num_blocks, num_blocks): whether the block of queries of a row sees the block of keys of a column.

    Raises:
        ValueError: no blocks, or a number below 0.
    """
    if num_blocks < 1 or min(num_neighbours, num_global, num_random) < 0:
        raise ValueError(
            f"num_blocks must be at least 1 and the other numbers 0, got {num_blocks}, {num_neighbours}, "
            f"{num_global}, {num_random}"
        )
    row = torch.arange(num_blocks)[:, None]
    column = torch.arange(num_blocks)
    layout = ((row - column).abs() <= num_neighbours) | (row < num_global) | (column < num_global)
    if num_random:
        drawn = torch.rand(num_blocks, num_blocks, generator=generator).topk(min(num_random, num_blocks), dim=1).indices
        layout = layout.scatter(1, drawn, True)
    return layout


def block_sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    layout: Tensor,
    block_size: int,
    backend: str = "auto",
    **options: Unpack[AttentionOptions],
) -> Tensor:
    """`attention` under the mask that `layout` stands for, computed for the open blocks only.

    Position p lies in block p // block_size; query i stands at i + Lk - Lq.

    Args:
        query: (B, H, Lq, D).
        key: (B, Hkv, Lk, D).
        value: (B, Hkv, Lk, D).
        layout: bool, (N, N) with N * block_size >= Lk: whether a block of queries (row) sees a block of keys (column).
        block_size: positions in a block.
        backend: of the blocks, "auto" or a name.
        **options: those of `attention`, without masks and biases of pairs and without a window, which the layout
            stands for. `is_causal` holds within the open blocks.

    Returns:
        (B, H, Lq, D) in the dtype of `query`. A query whose blocks hold nothing to attend to gives zeros, and so
        does one before the first position, which lies in no block.

    Raises:
        TypeError: as `attention` does, and for a layout that is not boolean.
        ValueError: as `attention` does, and for a layout that is too small.
    """
    _check(query, key, value, layout, block_size, options)
    num_blind = max(0, query.shape[2] - key.shape[2])
    blind, query = query[:, :, :num_blind], query[:, :, num_blind:]
    if query.shape[2] == 0:
        return torch.zeros_like(blind)
    first = key.shape[2] - query.shape[2]
    skipped, num_blocks = first // block_size, -(-key.shape[2] // block_size)
    is_causal, key_mask, slopes = options.get("is_causal", False), options.get("key_mask"), options.get("alibi_slopes")
    used = layout[skipped:num_blocks, :num_blocks].cpu()
    if is_causal:
        used = used.tril(skipped)  # no mutant: it spares blocks that the rule closes below
    before = first % block_size
    queries = _cut(F.pad(query, (0, 0, before, 0)), block_size)  # (B, H, rows, block, D)
    keys, values = _cut(key, block_size), _cut(value, block_size)
    mask_blocks = None if key_mask is None else _cut(key_mask[:, None, :, None], block_size)
    within = torch.arange(block_size, device=query.device)
    counts = used.sum(dim=1)
    found, order = [], []
    for count in sorted(set(counts.tolist())):  # rows that see as many blocks are computed together
        rows = (counts == count).nonzero().flatten()
        order.append(rows)
        of_rows = queries[:, :, rows.to(query.device)]
        if count == 0:
            found.append(torch.zeros_like(of_rows))
            continue
        columns = used[rows].nonzero()[:, 1].view(-1, count).to(query.device)  # (rows, count)
        key_position = (columns[:, :, None] * block_size + within).flatten(1)
        query_position = (rows.to(query.device)[:, None] + skipped) * block_size + within
        allowed = (key_position < key.shape[2])[:, None, :].expand(-1, block_size, -1)
        if is_causal:
            allowed = allowed & (query_position[:, :, None] >= key_position[:, None, :])
        batch = query.shape[0]
        bias = None if slopes is None else linear_bias_at(slopes, query_position, key_position).repeat(batch, 1, 1, 1)
        attended = attention(
            of_rows.transpose(1, 2).flatten(0, 1),
            _gathered(keys, columns),
            _gathered(values, columns),
            backend=backend,
            **(
                options
                | {
                    "is_causal": False,
                    "alibi_slopes": None,
                    "key_mask": None if mask_blocks is None else _gathered(mask_blocks, columns)[:, 0, :, 0],
                    "attention_mask": allowed.repeat(batch, 1, 1)[:, None],
                    "attention_bias": bias,
                }
            ),
        )
        found.append(attended.view(batch, len(rows), *attended.shape[1:]).transpose(1, 2))
    rows_in_order = torch.cat(order).argsort().to(query.device)
    attended = torch.cat(found, dim=2)[:, :, rows_in_order].flatten(2, 3)[:, :, before : before + query.shape[2]]
    return torch.cat((torch.zeros_like(blind), attended), dim=2)


def _cut(tensor: Tensor, block_size: int) -> Tensor:
    """(B, H, L, D) -> (B, H, blocks, block, D), padded at the end."""
    batch, heads, length, features = tensor.shape
    count = -(-length // block_size)
    return F.pad(tensor, (0, 0, 0, count * block_size - length)).view(batch, heads, count, block_size, features)


def _gathered(blocks: Tensor, columns: Tensor) -> Tensor:
    """The blocks that each row sees, (B, H, blocks, block, D) and (rows, count) -> (B * rows, H, count * block, D)."""
    return blocks[:, :, columns].transpose(1, 2).flatten(0, 1).flatten(2, 3)


def _check(
    query: Tensor, key: Tensor, value: Tensor, layout: Tensor, block_size: int, options: AttentionOptions
) -> None:
    check_tensors(query, key, value)
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
    if layout.dtype != torch.bool:
        raise TypeError(f"layout must be bool with True where a block may attend, got {layout.dtype}")
    if layout.dim() != 2 or layout.shape[0] != layout.shape[1] or layout.shape[0] * block_size < key.shape[2]:
        raise ValueError(
            f"layout must be square and cover {key.shape[2]} positions in blocks of {block_size}, "
            f"got {tuple(layout.shape)}"
        )
    for name in ("attention_mask", "attention_bias", "window"):
        if options.get(name) is not None:
            raise ValueError(f"block-sparse attention takes no {name}: the layout says which blocks see one another")
    key_mask = options.get("key_mask")
    if key_mask is not None:
        check_key_mask(key_mask, batch=key.shape[0], key_length=key.shape[2])


class BlockSparseAttention(MultiHeadAttention):
    """Self-attention between the blocks of positions that a layout opens.

    Caches and options are those of `MultiHeadAttention`; masks and biases of pairs are refused.
    """

    layout: Tensor

    def __init__(self, config: AttentionConfig, layout: Tensor) -> None:
        """Build the layer.

        Args:
            config: with a `block_size`, without a window.
            layout: bool, (N, N), as in `block_sparse_attention`; inputs may have up to N * block_size positions. It is
                kept in the state dict.

        Raises:
            TypeError: the layout is not boolean.
            ValueError: no block size, a window, or a layout that is not square.
        """
        if config.block_size is None:
            raise ValueError("block-sparse attention needs a block_size")
        config.refuse("BlockSparseAttention", "window", "num_global_tokens")
        if layout.dtype != torch.bool:
            raise TypeError(f"layout must be bool with True where a block may attend, got {layout.dtype}")
        if layout.dim() != 2 or layout.shape[0] != layout.shape[1]:
            raise ValueError(f"layout must be square, got {tuple(layout.shape)}")
        super().__init__(replace(config, block_size=None))
        self.block_size = config.block_size
        self.register_buffer("layout", layout.clone())

    def attend(self, query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions) -> Tensor:
        """The attended heads, for the open blocks only."""
        return block_sparse_attention(
            query,
            key,
            value,
            layout=self.layout,
            block_size=self.block_size,
            backend=self.config.backend,
            **options,
        )
