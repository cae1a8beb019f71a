"""Windows, caps, linear biases and sinks, against loops over single numbers and by what they must not do."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from astrobio.attention import attention, published_alibi_slopes, select_backend
from astrobio.attention.backends import PORTABLE_BACKENDS

BATCH, HEADS, KV_HEADS, HEAD_DIM = 2, 4, 2, 6
SLOPES = torch.tensor([0.5, 0.25, 0.0, 1.5], dtype=torch.float64)
SINKS = torch.tensor([-1.0, 0.0, 2.0, 0.5], dtype=torch.float64)
OPTIONS: dict[str, dict[str, object]] = {
    "window": {"window": 3},
    "window of one": {"window": 1},
    "global tokens": {"window": 2, "num_global_tokens": 2},
    "soft cap": {"soft_cap": 0.7},
    "alibi": {"alibi_slopes": SLOPES},
    "sinks": {"sinks": SINKS},
    "all": {"window": 3, "num_global_tokens": 1, "soft_cap": 0.7, "alibi_slopes": SLOPES, "sinks": SINKS},
}
LENGTHS = [(6, 6), (3, 7), (7, 4), (1, 6)]

SUPPORTED = {
    f"{backend}, {name}": (backend, options)
    for backend in PORTABLE_BACKENDS
    for name, options in OPTIONS.items()
    if not (backend == "sdpa" and "soft_cap" in options)
}

each_supported = pytest.mark.parametrize(("backend", "options"), SUPPORTED.values(), ids=SUPPORTED.keys())
each_causal = pytest.mark.parametrize("is_causal", [False, True], ids=["bidirectional", "causal"])
each_backend = pytest.mark.parametrize("backend", PORTABLE_BACKENDS)


def random_inputs(query_length: int, key_length: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(BATCH, HEADS, query_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    key, value = torch.randn(2, BATCH, KV_HEADS, key_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    return query, key, value


@each_supported
@pytest.mark.parametrize(("query_length", "key_length"), LENGTHS)
@each_causal
def test_an_option_equals_a_loop_in_float64(
    backend: str,
    query_length: int,
    key_length: int,
    is_causal: bool,
    options: dict[str, object],
    naive_attention: Callable[..., Tensor],
    rounding_bound: Callable[..., float],
) -> None:
    tensors = random_inputs(query_length, key_length)
    key_mask = torch.ones(BATCH, key_length, dtype=torch.bool)
    key_mask[1, -2:] = False
    actual = attention(*tensors, backend=backend, is_causal=is_causal, key_mask=key_mask, **options)
    expected = naive_attention(*tensors, is_causal=is_causal, allowed=key_mask[:, None, None, :], **options)
    # Linear biases reach 1.5 times a distance below 10, sinks 2: both enter the bound as a bias.
    bound = 2 * rounding_bound(*tensors, bias=torch.tensor([17.0]))
    assert (actual - expected).abs().max() <= bound


@each_supported
def test_gradients_through_an_option_are_those_of_finite_differences(backend: str, options: dict[str, object]) -> None:
    query, key, value = (tensor[:1, :, :3, :2] for tensor in random_inputs(3, 3))
    trained = {name: options[name] for name in ("alibi_slopes", "sinks") if name in options}
    fixed = {name: setting for name, setting in options.items() if name not in trained}
    leaves = [tensor.clone().requires_grad_() for tensor in (query, key, value, *trained.values())]

    def function(*inputs: Tensor) -> Tensor:
        named = dict(zip(trained, inputs[3:], strict=True))
        return attention(*inputs[:3], backend=backend, is_causal=True, **fixed, **named)

    assert torch.autograd.gradcheck(function, leaves)


def test_a_window_lets_a_query_see_its_own_key_and_those_before() -> None:
    query, key, value = random_inputs(5, 5)
    before = attention(query, key, value, is_causal=True, window=2)
    key[:, :, 2], value[:, :, 2] = 9.0, 9.0
    after = attention(query, key, value, is_causal=True, window=2)
    changed = (after != before).any(dim=-1).any(dim=1).any(dim=0)
    assert changed.tolist() == [False, False, True, True, False]


def test_a_window_as_long_as_the_keys_changes_nothing() -> None:
    tensors = random_inputs(5, 5)
    assert torch.equal(attention(*tensors, window=5), attention(*tensors))
    assert not torch.equal(attention(*tensors, window=4), attention(*tensors))


def test_a_global_token_is_seen_from_everywhere_and_sees_everything() -> None:
    query, key, value = random_inputs(8, 8)
    local = attention(query, key, value, window=2)
    with_global = attention(query, key, value, window=2, num_global_tokens=1)
    assert torch.allclose(with_global[:, :, 1], local[:, :, 1])  # it has the first token in its window already
    assert not torch.allclose(with_global[:, :, 5], local[:, :, 5])
    assert torch.allclose(with_global[:, :, 0], attention(query, key, value)[:, :, 0])


def test_a_small_soft_cap_makes_scores_alike_and_a_large_one_leaves_them() -> None:
    tensors = random_inputs(5, 5)
    flat = attention(*tensors, soft_cap=1e-9)
    mean = tensors[2].mean(dim=2, keepdim=True).repeat_interleave(HEADS // KV_HEADS, dim=1)
    assert torch.allclose(flat, mean.expand_as(flat), rtol=0, atol=1e-7)
    assert torch.allclose(attention(*tensors, soft_cap=1e6), attention(*tensors), rtol=0, atol=1e-9)


def test_a_sink_takes_its_share_of_the_weight() -> None:
    query, key, value = torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 3, 2), torch.ones(1, 1, 3, 2)
    output = attention(query, key, value, sinks=torch.zeros(1))  # four equal scores, three of them with a value
    assert torch.allclose(output, torch.full_like(output, 0.75))


@each_backend
def test_a_row_with_nothing_to_attend_is_zero_beside_a_sink_too(backend: str) -> None:
    tensors = tuple(tensor.requires_grad_() for tensor in random_inputs(3, 4))
    key_mask = torch.tensor([[False] * 4, [True] * 4])
    output = attention(*tensors, key_mask=key_mask, sinks=SINKS, backend=backend)
    assert (output[0] == 0).all()
    assert (output[1] != 0).any()
    gradients = torch.autograd.grad(output.sum(), tensors)
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_published_slopes_are_those_of_the_paper() -> None:
    assert published_alibi_slopes(8) == tuple(2.0**-i for i in range(1, 9))
    assert published_alibi_slopes(16)[:2] == (2**-0.5, 2**-1)
    assert published_alibi_slopes(6) == (2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3)


def test_slopes_of_no_heads_are_an_error() -> None:
    with pytest.raises(ValueError, match="num_heads must be at least 1, got 0"):
        published_alibi_slopes(0)


def test_sdpa_declines_what_it_would_round() -> None:
    tensors = tuple(tensor.bfloat16() for tensor in random_inputs(3, 4))
    reasons = {
        name: select_backend(*tensors, **{name: setting}).not_used["sdpa"]
        for name, setting in (("alibi_slopes", SLOPES), ("sinks", SINKS.float()), ("soft_cap", 2.0))
    }
    assert reasons == {
        "alibi_slopes": "it would round linear biases to torch.bfloat16",
        "sinks": "it takes sinks in the dtype of the query, and torch.float32 does not fit torch.bfloat16",
        "soft_cap": "it has no soft cap",
    }


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"window": 0}, ValueError, "window counts the query itself and must be at least 1, got 0"),
        ({"num_global_tokens": 1}, ValueError, "there is no window"),
        ({"window": 2, "num_global_tokens": -1}, ValueError, "num_global_tokens must be at least 0, got -1"),
        ({"soft_cap": 0.0}, ValueError, "soft_cap must be positive and finite, got 0"),
        ({"soft_cap": float("inf")}, ValueError, "soft_cap must be positive and finite, got inf"),
        ({"sinks": torch.zeros(3)}, ValueError, r"sinks must have one number for each of the 4 heads, got \(3,\)"),
        ({"alibi_slopes": torch.zeros(4, 1)}, ValueError, "alibi_slopes must have one number for each of the 4"),
        ({"sinks": torch.zeros(4, dtype=torch.long)}, TypeError, "sinks must be floating point, got torch.int64"),
        ({"key_mask": torch.ones(BATCH, 5)}, TypeError, "key_mask must be bool"),
        ({"key_mask": torch.ones(5, dtype=torch.bool)}, ValueError, r"key_mask must have shape \(B, Lk\) = \(2, 5\)"),
        ({"causal": True}, TypeError, "attention has no option causal"),
    ],
)
def test_an_option_out_of_range_is_named_in_the_error(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        attention(*random_inputs(5, 5), **options)
