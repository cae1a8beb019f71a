from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from astrobio.attention import (
    AttentionConfig,
    BlockSparseAttention,
    KVCache,
    attention,
    big_bird_layout,
    block_sparse_attention,
)

BATCH, HEADS, KV_HEADS, HEAD_DIM = 2, 4, 2, 6
SLOPES = torch.tensor([0.5, 0.25, 0.0, 1.5], dtype=torch.float64)

each_causal = pytest.mark.parametrize("is_causal", [False, True], ids=["bidirectional", "causal"])


def random_inputs(query_length: int, key_length: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(BATCH, HEADS, query_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    key, value = torch.randn(2, BATCH, KV_HEADS, key_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    return query, key, value


def random_layout(num_blocks: int) -> Tensor:
    """Half of the blocks, and a row that sees none."""
    layout = torch.rand(num_blocks, num_blocks, generator=torch.Generator().manual_seed(1)) < 0.5
    layout[2] = False
    return layout


def by_position(layout: Tensor, block_size: int, query_length: int, key_length: int) -> Tensor:
    """The layout as a mask of pairs, (Lq, Lk)."""
    whole = layout.repeat_interleave(block_size, dim=0).repeat_interleave(block_size, dim=1)
    return whole[key_length - query_length : key_length, :key_length]


@pytest.mark.parametrize(("query_length", "key_length"), [(12, 12), (11, 11), (4, 11), (1, 10)])
@pytest.mark.parametrize("block_size", [1, 3, 4])
@each_causal
def test_open_blocks_compute_what_the_definition_does(
    query_length: int, key_length: int, block_size: int, is_causal: bool, rounding_bound: Callable[..., float]
) -> None:
    tensors = random_inputs(query_length, key_length)
    key_mask = torch.ones(BATCH, key_length, dtype=torch.bool)
    key_mask[1, :2] = False
    layout = random_layout(12)
    options = {"is_causal": is_causal, "key_mask": key_mask, "alibi_slopes": SLOPES, "soft_cap": 1.5}
    actual = block_sparse_attention(*tensors, layout=layout, block_size=block_size, **options)
    mask = by_position(layout, block_size, query_length, key_length)
    expected = attention(*tensors, attention_mask=mask, backend="eager", **options)
    assert (actual - expected).abs().max() <= 2 * rounding_bound(*tensors, bias=torch.tensor([18.0]))


@each_causal
def test_gradients_are_those_of_finite_differences(is_causal: bool) -> None:
    leaves = [tensor[:1, :2, :, :2].clone().requires_grad_() for tensor in random_inputs(7, 7)]
    layout = random_layout(4)

    def function(*tensors: Tensor) -> Tensor:
        return block_sparse_attention(*tensors, layout=layout, block_size=2, is_causal=is_causal)

    assert torch.autograd.gradcheck(function, leaves)


def test_the_cost_is_that_of_the_open_blocks() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    tensors = random_inputs(64, 64)

    def count(layout: Tensor) -> int:
        with FlopCounterMode(display=False) as counter:
            block_sparse_attention(*tensors, layout=layout, block_size=8, backend="eager")
        return counter.get_total_flops()

    every = torch.ones(8, 8, dtype=torch.bool)
    for layout in (random_layout(8), big_bird_layout(8), torch.eye(8, dtype=torch.bool)):
        assert count(layout) * 64 == count(every) * int(layout.sum())


def test_the_layout_of_big_bird_has_neighbours_global_and_random_blocks() -> None:
    layout = big_bird_layout(6, num_neighbours=1, num_global=1)
    assert layout.int().tolist() == [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 0, 1, 1, 1, 0],
        [1, 0, 0, 1, 1, 1],
        [1, 0, 0, 0, 1, 1],
    ]
    drawn = big_bird_layout(6, num_neighbours=0, num_global=0, num_random=3, generator=torch.Generator().manual_seed(0))
    assert set(drawn.sum(dim=1).tolist()) <= {3, 4}  # three that were drawn, perhaps besides its own
    assert drawn.diagonal().all()


def layer(**settings: object) -> BlockSparseAttention:
    defaults: dict[str, object] = {"embed_dim": 12, "num_heads": 4, "num_kv_heads": 2, "head_dim": 6, "block_size": 3}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BlockSparseAttention(AttentionConfig(**{**defaults, **settings}), big_bird_layout(5)).double()


def test_decoding_through_the_cache_equals_the_full_forward() -> None:
    module = layer(is_causal=True, rotary_base=50.0)
    x = torch.randn(BATCH, 13, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cache = KVCache()
    decoded = torch.cat([module(part, cache=cache) for part in x.split(2, dim=1)], dim=1)
    # Outputs are below 10; sums of fewer than 100 terms in two orders.
    assert (decoded - module(x)).abs().max() <= 2000 * torch.finfo(torch.float64).eps


def test_the_layout_travels_with_the_state_dict() -> None:
    assert torch.equal(layer().state_dict()["layout"], big_bird_layout(5))


EYE = torch.eye(4, dtype=torch.bool)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layout": EYE.int()}, TypeError, "layout must be bool"),
        ({"layout": EYE[:3]}, ValueError, "layout must be square and cover 7 positions in blocks of 2"),
        ({"layout": EYE[:3, :3]}, ValueError, "cover 7 positions in blocks of 2"),
        ({"block_size": 0}, ValueError, "block_size must be at least 1, got 0"),
        ({"window": 2}, ValueError, "takes no window"),
        ({"attention_mask": torch.ones(7, 7, dtype=torch.bool)}, ValueError, "takes no attention_mask"),
        ({"key_mask": torch.ones(2, 3, dtype=torch.bool)}, ValueError, "key_mask must have shape"),
    ],
)
def test_what_does_not_fit_is_an_error(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        block_sparse_attention(*random_inputs(7, 7), **{"layout": EYE, "block_size": 2, **options})


@pytest.mark.parametrize("key_length", [0, 5])
def test_queries_before_the_first_position_give_zeros(key_length: int) -> None:
    query, key, value = random_inputs(7, key_length)
    output = block_sparse_attention(query, key, value, layout=EYE, block_size=2)
    assert (output[:, :, : 7 - key_length] == 0).all()
    alone = block_sparse_attention(query[:, :, 7 - key_length :], key, value, layout=EYE, block_size=2)
    assert torch.equal(output[:, :, 7 - key_length :], alone)


def test_the_layer_needs_a_block_size_and_a_square_layout() -> None:
    with pytest.raises(ValueError, match="needs a block_size"):
        layer(block_size=None)
    with pytest.raises(ValueError, match="BlockSparseAttention has no use for window"):
        layer(window=2)
    with pytest.raises(ValueError, match=r"layout must be square, got \(3, 4\)"):
        BlockSparseAttention(AttentionConfig(embed_dim=8, num_heads=2, block_size=2), EYE[:3])
    with pytest.raises(TypeError, match="layout must be bool"):
        BlockSparseAttention(AttentionConfig(embed_dim=8, num_heads=2, block_size=2), EYE.float())


@pytest.mark.parametrize("settings", [{"num_blocks": 0}, {"num_blocks": 4, "num_random": -1}])
def test_a_layout_of_nothing_is_an_error(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="num_blocks must be at least 1 and the other numbers 0"):
        big_bird_layout(**settings)
