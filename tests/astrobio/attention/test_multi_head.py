from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from astrobio.attention import (
    AttentionConfig,
    CrossAttention,
    FlashAttention,
    GroupedQueryAttention,
    KVCache,
    MultiHeadAttention,
    SlidingKVCache,
    StaticKVCache,
    apply_rotary,
    attention,
    published_alibi_slopes,
)
from astrobio.attention.backends import PORTABLE_BACKENDS

BATCH, LENGTH, EMBED_DIM = 2, 7, 20
# Outputs and intermediate values stay below 10 here. Two orders of summation over at most EMBED_DIM + head_dim +
# LENGTH + num_heads * head_dim < 100 terms then differ by less than 2 * 100 * 10 roundings.
TOLERANCE = 2000 * torch.finfo(torch.float64).eps / 2

each_backend = pytest.mark.parametrize("backend", PORTABLE_BACKENDS)


def layer(**settings: object) -> MultiHeadAttention:
    defaults: dict[str, object] = {"embed_dim": EMBED_DIM, "num_heads": 6, "num_kv_heads": 2, "head_dim": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MultiHeadAttention(AttentionConfig(**{**defaults, **settings})).double()


def hidden_states(length: int = LENGTH, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, length, EMBED_DIM, generator=generator, dtype=torch.float64)


def close(actual: Tensor, expected: Tensor) -> bool:
    return bool((actual - expected).abs().max() <= TOLERANCE)


@each_backend
@pytest.mark.parametrize("is_causal", [False, True], ids=["bidirectional", "causal"])
@pytest.mark.parametrize("rotary_base", [None, 100.0], ids=["no positions", "rotary"])
def test_output_equals_projections_around_a_loop(
    backend: str, is_causal: bool, rotary_base: float | None, naive_attention: Callable[..., Tensor]
) -> None:
    module = layer(backend=backend, is_causal=is_causal, rotary_base=rotary_base)
    x = hidden_states()
    key_mask = torch.ones(BATCH, LENGTH, dtype=torch.bool)
    key_mask[1, 4:] = False

    def heads(weight: Tensor) -> Tensor:
        return torch.stack(torch.split(x @ weight.T, 8, dim=2), dim=1)

    query, key, value = heads(module.q_proj.weight), heads(module.k_proj.weight), heads(module.v_proj.weight)
    if rotary_base is not None:
        query, key = (apply_rotary(states, torch.arange(LENGTH), rotary_base) for states in (query, key))
    attended = naive_attention(query, key, value, is_causal=is_causal, allowed=key_mask[:, None, None, :])
    expected = torch.cat(attended.unbind(dim=1), dim=2) @ module.out_proj.weight.T
    assert close(module(x, key_mask=key_mask), expected)


@each_backend
@pytest.mark.parametrize("chunk", [1, 3])
def test_decoding_through_the_cache_equals_the_full_forward(backend: str, chunk: int) -> None:
    module = layer(backend=backend, is_causal=True, rotary_base=100.0)
    x = hidden_states()
    cache = KVCache()
    decoded = torch.cat([module(part, cache=cache) for part in x.split(chunk, dim=1)], dim=1)
    assert cache.length == LENGTH
    assert close(decoded, module(x))


@each_backend
def test_decoding_after_padding_equals_the_forward_without_it(backend: str) -> None:
    module = layer(backend=backend, is_causal=True, rotary_base=100.0)
    x = hidden_states()
    padded = torch.cat((hidden_states(2, seed=5), x), dim=1)
    key_mask = torch.ones(BATCH, LENGTH + 2, dtype=torch.bool)
    key_mask[:, :2] = False
    cache = KVCache()
    first = module(padded[:, :5], key_mask=key_mask[:, :5], cache=cache)
    second = module(padded[:, 5:], key_mask=key_mask, cache=cache)
    assert close(torch.cat((first, second), dim=1)[:, 2:], module(x))


def test_given_positions_replace_the_counted_ones() -> None:
    module = layer(rotary_base=100.0)
    x = hidden_states()
    shifted = module(x, positions=torch.arange(LENGTH) + 11)  # the same distances
    spread = module(x, positions=torch.arange(LENGTH) * 3)
    assert close(shifted, module(x))
    assert not close(spread, module(x))


def test_dropout_acts_in_training_only() -> None:
    module, without = layer(dropout_p=0.5), layer(dropout_p=0.0)
    x = hidden_states()
    module.eval()
    assert torch.equal(module(x), without(x))
    module.train()
    assert not close(module(x), without(x))


@each_backend
@pytest.mark.parametrize("bias", [False, True])
def test_gradients_reach_every_parameter(backend: str, bias: bool) -> None:
    module = layer(backend=backend, bias=bias, rotary_base=100.0)
    module(hidden_states()).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


@each_backend
def test_a_sample_with_every_key_masked_gives_the_bias_of_the_output_and_finite_gradients(backend: str) -> None:
    module = layer(backend=backend, bias=True)
    x = hidden_states().requires_grad_()
    key_mask = torch.tensor([[False] * LENGTH, [True] * LENGTH])
    output = module(x, key_mask=key_mask)
    assert torch.equal(output[0], module.out_proj.bias.expand(LENGTH, -1))
    (gradient,) = torch.autograd.grad(output.square().sum(), x)
    assert gradient.isfinite().all()
    assert (gradient[1] != 0).any()


def test_attention_mask_and_bias_reach_the_scores() -> None:
    module = layer()
    x = hidden_states()
    mask = torch.eye(LENGTH, dtype=torch.bool)
    own_value = module(x, attention_mask=mask)
    assert close(own_value, module(x, attention_bias=torch.zeros(LENGTH, LENGTH).masked_fill(~mask, float("-inf"))))
    assert not close(own_value, module(x))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"key_mask": torch.ones(BATCH, LENGTH)}, TypeError, "key_mask must be bool"),
        ({"key_mask": torch.ones(BATCH, 3, dtype=torch.bool)}, ValueError, r"key_mask must have shape .*\(2, 10\)"),
        ({"attention_mask": torch.ones(4, dtype=torch.bool)}, ValueError, "attention_mask must broadcast"),
        ({"attention_bias": torch.ones(4)}, ValueError, "attention_bias must broadcast"),
        ({"positions": torch.arange(3)}, ValueError, "positions must have shape"),
    ],
)
def test_a_refused_call_names_the_argument_and_leaves_the_cache_alone(
    arguments: dict[str, Tensor], error: type[Exception], message: str
) -> None:
    module = layer(rotary_base=100.0)
    cache = KVCache()
    module(hidden_states(3), cache=cache)
    with pytest.raises(error, match=message):
        module(hidden_states(), cache=cache, **arguments)
    assert cache.length == 3


def test_positions_without_a_rotary_embedding_are_an_error() -> None:
    with pytest.raises(ValueError, match="this layer has no rotary embedding"):
        layer()(hidden_states(), positions=torch.arange(LENGTH))


@pytest.mark.parametrize("shape", [(BATCH, LENGTH, EMBED_DIM + 1), (LENGTH, EMBED_DIM)])
def test_hidden_states_of_another_shape_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"hidden_states must be \(B, L, embed_dim = 20\)"):
        layer()(torch.ones(shape, dtype=torch.float64))


def test_the_state_dict_restores_the_output() -> None:
    module, other = layer(), MultiHeadAttention(layer().config).double()
    assert not close(module(hidden_states()), other(hidden_states()))
    other.load_state_dict(module.state_dict())
    assert torch.equal(module(hidden_states()), other(hidden_states()))


def test_every_setting_of_the_scores_reaches_the_function() -> None:
    module = layer(is_causal=True, alibi=True, window=4, num_global_tokens=1, soft_cap=0.8, sinks=True)
    assert module.sinks is not None
    torch.nn.init.normal_(module.sinks, generator=torch.Generator().manual_seed(0))
    x = hidden_states()
    query, key, value = module.projected(x)
    attended = attention(
        query,
        key,
        value,
        is_causal=True,
        alibi_slopes=torch.tensor(published_alibi_slopes(6), dtype=torch.float64),
        window=4,
        num_global_tokens=1,
        soft_cap=0.8,
        sinks=module.sinks,
        backend="eager",
    )
    assert torch.equal(module(x), module.output(attended))


def static_cache(max_length: int = LENGTH) -> StaticKVCache:
    return StaticKVCache(batch_size=BATCH, num_kv_heads=2, max_length=max_length, head_dim=8, dtype=torch.float64)


@pytest.mark.parametrize("position", [{"rotary_base": 100.0}, {"alibi": True}], ids=["rotary", "alibi"])
@pytest.mark.parametrize("chunk", [1, 2, 5])
@torch.no_grad()
def test_every_kind_of_cache_decodes_to_the_full_forward(position: dict[str, object], chunk: int) -> None:
    module = layer(is_causal=True, window=3, sinks=True, **position)
    x = hidden_states(9)
    key_mask = torch.ones(BATCH, 9, dtype=torch.bool)
    key_mask[0, :2] = False
    expected = module(x, key_mask=key_mask)
    for cache in (KVCache(), static_cache(9), SlidingKVCache(window=3)):
        outputs = []
        for part in x.split(chunk, dim=1):
            seen = cache.length + part.shape[1]
            outputs.append(module(part, key_mask=key_mask[:, :seen], cache=cache))
        assert cache.length == 9
        assert close(torch.cat(outputs, dim=1), expected), type(cache).__name__


@pytest.mark.parametrize("chunk", [1, 2, 5])
@torch.no_grad()
def test_a_sliding_cache_keeps_global_tokens(chunk: int) -> None:
    module = layer(is_causal=True, window=3, num_global_tokens=2, rotary_base=100.0)
    x, cache = hidden_states(12), SlidingKVCache(window=3, num_global_tokens=2)
    bias = torch.randn(12, 12, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    outputs = []
    for part in x.split(chunk, dim=1):
        start, end = cache.length, cache.length + part.shape[1]
        outputs.append(module(part, attention_bias=bias[start:end, :end], cache=cache))
    assert cache.num_held == 4
    assert close(torch.cat(outputs, dim=1), module(x, attention_bias=bias))


@pytest.mark.parametrize(
    ("settings", "cache"),
    [
        ({"is_causal": True}, SlidingKVCache(window=3)),
        ({"is_causal": True, "window": 4}, SlidingKVCache(window=3)),
        ({"is_causal": False, "window": 3}, SlidingKVCache(window=3)),
        ({"is_causal": True, "window": 3, "num_global_tokens": 1}, SlidingKVCache(window=3)),
    ],
    ids=["no window", "window too wide", "not causal", "no global tokens"],
)
def test_a_sliding_cache_that_lets_go_of_too_much_is_an_error(
    settings: dict[str, object], cache: SlidingKVCache
) -> None:
    with pytest.raises(
        ValueError, match="a sliding cache of window 3 and 0 global tokens does not keep what this layer"
    ):
        layer(**settings)(hidden_states(), cache=cache)
    assert cache.length == 0


def test_a_sliding_cache_has_no_distances_for_linear_biases_to_global_tokens() -> None:
    module = layer(is_causal=True, window=3, num_global_tokens=1, alibi=True)
    with pytest.raises(ValueError, match="a sliding cache does not keep the distances to global tokens"):
        module(hidden_states(), cache=SlidingKVCache(window=3, num_global_tokens=1))


def test_flash_attention_computes_the_same_and_notes_the_backend() -> None:
    module = layer(is_causal=True, rotary_base=100.0)
    flash = FlashAttention(module.config).double()
    flash.load_state_dict(module.state_dict())
    assert flash.selection is None
    assert torch.equal(flash(hidden_states()), module(hidden_states()))
    assert flash.selection is not None
    assert flash.selection.name == "sdpa"
    capped = FlashAttention(AttentionConfig(embed_dim=EMBED_DIM, num_heads=2, soft_cap=3.0)).double()
    capped(hidden_states())
    assert capped.selection is not None
    assert capped.selection.name == "eager"
    assert capped.selection.not_used["sdpa"] == "it has no soft cap"


def test_pooling_equal_heads_changes_nothing_and_pooling_others_takes_their_mean() -> None:
    module = layer(num_kv_heads=6, bias=True)
    grouped = GroupedQueryAttention.from_multi_head(module, 2)
    assert grouped.config.kv_heads == 2
    by_head = module.k_proj.weight.view(2, 3, 8, EMBED_DIM)
    assert torch.equal(grouped.k_proj.weight, by_head.mean(dim=1).flatten(0, 1))
    for projection in (module.k_proj, module.v_proj):
        for parameter in (projection.weight, projection.bias):
            heads = parameter.data.view(2, 3, 8, -1)
            heads.copy_(heads[:, :1].clone().expand_as(heads))
    alike = GroupedQueryAttention.from_multi_head(module, 2)
    assert close(alike(hidden_states()), module(hidden_states()))


def test_grouping_that_is_not_even_or_not_said_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 key/value heads cannot be pooled to 4"):
        GroupedQueryAttention.from_multi_head(layer(), 4)
    with pytest.raises(ValueError, match="grouped-query attention needs num_kv_heads"):
        GroupedQueryAttention(AttentionConfig(embed_dim=8, num_heads=2))


def cross(**settings: object) -> CrossAttention:
    defaults: dict[str, object] = {"embed_dim": EMBED_DIM, "num_heads": 6, "num_kv_heads": 2, "head_dim": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CrossAttention(AttentionConfig(**{**defaults, "context_dim": 11, **settings})).double()


def context(length: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(BATCH, length, 11, generator=generator, dtype=torch.float64)


@each_backend
def test_cross_attention_equals_projections_around_a_loop(backend: str, naive_attention: Callable[..., Tensor]) -> None:
    module = cross(backend=backend, bias=True)
    x, other = hidden_states(), context()
    key_mask = torch.tensor([[True, True, False, True], [True, False, False, False]])
    query = module.q_proj(x).view(BATCH, LENGTH, 6, 8).transpose(1, 2)
    key, value = (p(other).view(BATCH, 4, 2, 8).transpose(1, 2) for p in (module.k_proj, module.v_proj))
    attended = naive_attention(query, key, value, allowed=key_mask[:, None, None, :])
    expected = module.out_proj(attended.transpose(1, 2).flatten(2))
    assert close(module(x, other, key_mask=key_mask), expected)


def test_the_order_of_the_context_means_nothing() -> None:
    module, x, other = cross(), hidden_states(), context()
    assert close(module(x, other.flip(1)), module(x, other))
    assert not close(module(x, other), module(x, other[:, :3]))


@pytest.mark.parametrize("shape", [(BATCH, 4, 10), (1, 4, 11), (BATCH, 11)])
def test_a_context_of_another_shape_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"context must be \(B = 2, Lk, context_dim = 11\)"):
        cross()(hidden_states(), torch.ones(shape, dtype=torch.float64))


@pytest.mark.parametrize("settings", [{"is_causal": True}, {"rotary_base": 10.0}, {"window": 2}, {"alibi": True}])
def test_cross_attention_refuses_what_needs_one_sequence(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="CrossAttention has no use for"):
        cross(**settings)
