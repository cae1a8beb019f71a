from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from astrobio.attention import (
    AttentionConfig,
    KVCache,
    MultiHeadAttention,
    SlidingKVCache,
    SlidingWindowAttention,
    attention,
    local_attention,
)

BATCH, HEADS, KV_HEADS, HEAD_DIM = 2, 4, 2, 6
SLOPES = torch.tensor([0.5, 0.25, 0.0, 1.5], dtype=torch.float64)
SINKS = torch.tensor([-1.0, 0.0, 2.0, 0.5], dtype=torch.float64)

each_causal = pytest.mark.parametrize("is_causal", [False, True], ids=["bidirectional", "causal"])


def random_inputs(query_length: int, key_length: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(BATCH, HEADS, query_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    key, value = torch.randn(2, BATCH, KV_HEADS, key_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    return query, key, value


@pytest.mark.parametrize(("query_length", "key_length"), [(13, 13), (12, 12), (5, 13), (1, 13), (13, 5), (13, 11)])
@pytest.mark.parametrize("window", [1, 3, 4, 12, 20])
@pytest.mark.parametrize("num_global_tokens", [0, 1, 5])
@each_causal
def test_blocks_compute_what_the_definition_does(
    query_length: int,
    key_length: int,
    window: int,
    num_global_tokens: int,
    is_causal: bool,
    rounding_bound: Callable[..., float],
) -> None:
    tensors = random_inputs(query_length, key_length)
    key_mask = torch.ones(BATCH, key_length, dtype=torch.bool)
    key_mask[1, :2] = False
    options = {
        "window": window,
        "num_global_tokens": num_global_tokens,
        "is_causal": is_causal,
        "key_mask": key_mask,
        "alibi_slopes": SLOPES,
        "soft_cap": 1.5,
        "sinks": SINKS,
    }
    actual = local_attention(*tensors, **options)
    expected = attention(*tensors, backend="eager", **options)
    # Biases reach 1.5 times a distance below 13.
    assert (actual - expected).abs().max() <= 2 * rounding_bound(*tensors, bias=torch.tensor([20.0]))


@each_causal
def test_gradients_are_those_of_finite_differences(is_causal: bool) -> None:
    leaves = [tensor[:1, :, :, :2].clone().requires_grad_() for tensor in random_inputs(7, 7)]

    def function(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return local_attention(
            query[:, :2], key[:, :1], value[:, :1], window=2, num_global_tokens=1, is_causal=is_causal
        )

    assert torch.autograd.gradcheck(function, leaves)


@each_causal
@pytest.mark.parametrize("position", [{"rotary_base": 50.0}, {"alibi": True}], ids=["rotary", "alibi"])
def test_the_layer_computes_what_multi_head_attention_does(is_causal: bool, position: dict[str, object]) -> None:
    config = AttentionConfig(
        embed_dim=12, num_heads=3, head_dim=4, window=3, num_global_tokens=2, is_causal=is_causal, **position
    )
    local, full = SlidingWindowAttention(config).double(), MultiHeadAttention(config).double()
    full.load_state_dict(local.state_dict())
    x = torch.randn(2, 11, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    key_mask = torch.ones(2, 11, dtype=torch.bool)
    key_mask[0, 8:] = False
    difference = local(x, key_mask=key_mask) - full(x, key_mask=key_mask)
    # Outputs are below 10; sums of fewer than 100 terms in two orders.
    assert difference.abs().max() <= 2000 * torch.finfo(torch.float64).eps


def count_operations(length: int, *, local: bool) -> int:
    """Floating-point operations of matrix products, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    tensors = [tensor.expand(BATCH, -1, length, HEAD_DIM) for tensor in random_inputs(1, 1)]
    with FlopCounterMode(display=False) as counter:
        if local:
            local_attention(*tensors, window=16, is_causal=True, backend="eager")
        else:
            attention(*tensors, window=16, is_causal=True, backend="eager")
    return counter.get_total_flops()


def test_the_cost_grows_with_the_length_and_not_with_its_square() -> None:
    local = [count_operations(length, local=True) for length in (256, 512, 1024)]
    assert local[1] == 2 * local[0]
    assert local[2] == 4 * local[0]
    full = [count_operations(length, local=False) for length in (256, 512)]
    assert full[1] == 4 * full[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "local attention needs a window"),
        ({"window": 0}, "window counts the query itself"),
        ({"window": 2, "attention_mask": torch.ones(13, 13, dtype=torch.bool)}, "attention_mask has an entry for"),
        ({"window": 2, "attention_bias": torch.ones(13, 13)}, "attention_bias has an entry for every pair"),
        ({"window": 2, "key_mask": torch.ones(2, 9, dtype=torch.bool)}, r"key_mask must have shape"),
    ],
)
def test_what_local_attention_cannot_do_is_an_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        local_attention(*random_inputs(13, 13), **options)


def test_the_layer_needs_a_window() -> None:
    with pytest.raises(ValueError, match="needs a window"):
        SlidingWindowAttention(AttentionConfig(embed_dim=8, num_heads=2))


@pytest.mark.parametrize("num_global_tokens", [0, 2])
@torch.no_grad()
def test_the_cache_of_a_causal_layer_does_not_grow(num_global_tokens: int) -> None:
    config = AttentionConfig(
        embed_dim=12,
        num_heads=3,
        head_dim=4,
        window=3,
        num_global_tokens=num_global_tokens,
        is_causal=True,
        rotary_base=50.0,
    )
    module = SlidingWindowAttention(config).double()
    x = torch.randn(2, 13, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cache = module.new_cache()
    decoded = torch.cat([module(part, cache=cache) for part in x.split(2, dim=1)], dim=1)
    assert isinstance(cache, SlidingKVCache)
    assert cache.num_held == 2 + num_global_tokens
    # Outputs are below 10; sums of fewer than 100 terms in two orders.
    assert (decoded - module(x)).abs().max() <= 2000 * torch.finfo(torch.float64).eps


@pytest.mark.parametrize("settings", [{}, {"is_causal": True, "alibi": True, "num_global_tokens": 1}])
def test_what_a_sliding_cache_cannot_serve_has_a_growing_one(settings: dict[str, object]) -> None:
    config = AttentionConfig(embed_dim=12, num_heads=3, window=3, **settings)
    assert isinstance(SlidingWindowAttention(config).new_cache(), KVCache)
