import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from astrobio.attention import AttentionConfig, LinearAttention, LinearState, linear_attention

BATCH, HEADS, KV_HEADS, HEAD_DIM = 2, 4, 2, 6
LENGTHS = [(9, 9), (4, 9), (9, 4), (1, 9)]
# Weights and values are of order one: sums of fewer than 100 terms in two orders, divided by a sum of the same kind.
TOLERANCE = 1000 * torch.finfo(torch.float64).eps

each_causal = pytest.mark.parametrize("is_causal", [False, True], ids=["bidirectional", "causal"])


def random_inputs(query_length: int, key_length: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(BATCH, HEADS, query_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    key, value = torch.randn(2, BATCH, KV_HEADS, key_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    return query, key, value


def in_loops(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    """Linear attention with elu + 1 in its quadratic form; `allowed` is (B, Lq, Lk)."""
    output = torch.zeros_like(query)
    for b in range(BATCH):
        for h in range(HEADS):
            kv = h // (HEADS // KV_HEADS)
            for i in range(query.shape[2]):
                keys = [j for j in range(key.shape[2]) if allowed[b, i, j]]
                weights = [((F.elu(query[b, h, i]) + 1) * (F.elu(key[b, kv, j]) + 1)).sum() for j in keys]
                for weight, j in zip(weights, keys, strict=True):
                    output[b, h, i] += weight / sum(weights) * value[b, kv, j]
    return output


@pytest.mark.parametrize(("query_length", "key_length"), LENGTHS)
@each_causal
@pytest.mark.parametrize("chunk_size", [1, 2, 4, 64])
def test_chunks_compute_what_loops_do(query_length: int, key_length: int, is_causal: bool, chunk_size: int) -> None:
    tensors = random_inputs(query_length, key_length)
    key_mask = torch.ones(BATCH, key_length, dtype=torch.bool)
    key_mask[1, :3] = False
    allowed = key_mask[:, None, :].expand(BATCH, query_length, key_length)
    if is_causal:
        allowed = allowed.tril(key_length - query_length)
    actual = linear_attention(*tensors, is_causal=is_causal, key_mask=key_mask, chunk_size=chunk_size)
    assert (actual - in_loops(*tensors, allowed)).abs().max() <= TOLERANCE


@each_causal
def test_gradients_are_those_of_finite_differences(is_causal: bool) -> None:
    leaves = [tensor[:1, :2, :, :2].clone().requires_grad_() for tensor in random_inputs(5, 5)]
    assert torch.autograd.gradcheck(lambda *x: linear_attention(*x, is_causal=is_causal, chunk_size=2), leaves)


@each_causal
def test_a_sample_without_keys_is_zero_with_finite_gradients(is_causal: bool) -> None:
    tensors = [tensor.requires_grad_() for tensor in random_inputs(5, 5)]
    output = linear_attention(*tensors, is_causal=is_causal, key_mask=torch.tensor([[False] * 5, [True] * 5]))
    assert (output[0] == 0).all()
    assert (output[1] != 0).any()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(output.sum(), tensors))


def test_half_types_are_summed_in_float32() -> None:
    tensors = [tensor.bfloat16() for tensor in random_inputs(300, 300)]
    exact = linear_attention(*(tensor.double() for tensor in tensors), is_causal=True)
    actual = linear_attention(*tensors, is_causal=True)
    assert actual.dtype == torch.bfloat16
    # One rounding to bfloat16, and float32 sums of at most 300 terms below 10.
    bound = torch.finfo(torch.bfloat16).eps / 2 * exact.abs() + 300 * 10 * torch.finfo(torch.float32).eps
    assert ((actual.double() - exact).abs() <= bound).all()


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_a_state_goes_on_where_the_last_chunk_ended(chunk: int) -> None:
    tensors = random_inputs(9, 9)
    state = LinearState()
    parts = zip(*(tensor.split(chunk, dim=2) for tensor in tensors), strict=True)
    outputs = [linear_attention(*part, is_causal=True, state=state) for part in parts]
    assert state.length == 9
    expected = linear_attention(*tensors, is_causal=True)
    assert (torch.cat(outputs, dim=2) - expected).abs().max() <= TOLERANCE


def count_operations(length: int) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    tensors = [tensor.expand(-1, -1, length, -1) for tensor in random_inputs(1, 1)]
    with FlopCounterMode(display=False) as counter:
        linear_attention(*tensors, is_causal=True)
    return counter.get_total_flops()


def test_the_cost_grows_with_the_length_and_not_with_its_square() -> None:
    assert count_operations(1024) == 4 * count_operations(256)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"state": LinearState()}, ValueError, "a state continues causal attention"),
        ({"chunk_size": 0}, ValueError, "chunk_size must be at least 1, got 0"),
        ({"key_mask": torch.ones(BATCH, 5)}, TypeError, "key_mask must be bool"),
        ({"key_mask": torch.ones(BATCH, 4, dtype=torch.bool)}, ValueError, "key_mask must have shape"),
    ],
)
def test_what_does_not_fit_is_an_error(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        linear_attention(*random_inputs(5, 5), **options)


def layer(**settings: object) -> LinearAttention:
    defaults: dict[str, object] = {"embed_dim": 12, "num_heads": 4, "num_kv_heads": 2, "head_dim": 6}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LinearAttention(AttentionConfig(**{**defaults, "feature_map": "elu_plus_one", **settings})).double()


def hidden_states() -> Tensor:
    return torch.randn(BATCH, 7, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_layer_is_its_projections_around_the_function() -> None:
    module, x = layer(is_causal=True), hidden_states()
    expected = module.output(linear_attention(*module.projected(x), is_causal=True))
    assert torch.equal(module(x), expected)


@pytest.mark.parametrize("feature_map", ["elu_plus_one", "performer"])
def test_decoding_through_the_state_equals_the_full_forward(feature_map: str) -> None:
    module, x = layer(is_causal=True, feature_map=feature_map), hidden_states()
    key_mask = torch.ones(BATCH, 7, dtype=torch.bool)
    key_mask[0, :2] = False
    cache = module.new_cache()
    outputs = [
        module(part, key_mask=mask, cache=cache)
        for part, mask in zip(x.split(3, dim=1), key_mask.split(3, dim=1), strict=True)
    ]
    assert (torch.cat(outputs, dim=1) - module(x, key_mask=key_mask)).abs().max() <= TOLERANCE


def test_the_random_features_travel_with_the_state_dict() -> None:
    module = layer(feature_map="performer", num_features=10)
    other = LinearAttention(module.config).double()
    assert module.features.shape == (10, 6)
    assert not torch.allclose(other(hidden_states()), module(hidden_states()))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(hidden_states()), module(hidden_states()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_map": None}, "linear attention needs a feature_map"),
        ({"rotary_base": 10.0}, "LinearAttention has no use for rotary_base"),
        ({"soft_cap": 1.0}, "LinearAttention has no use for soft_cap"),
        ({"dropout_p": 0.1}, "LinearAttention has no use for dropout_p"),
        ({"backend": "sdpa"}, "LinearAttention has no use for backend"),
    ],
)
def test_settings_without_a_meaning_here_are_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(**settings)
