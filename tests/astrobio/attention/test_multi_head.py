from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from astrobio.attention import AttentionConfig, KVCache, MultiHeadAttention, apply_rotary
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
