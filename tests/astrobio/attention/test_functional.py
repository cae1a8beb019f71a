from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from astrobio.attention import attention, select_backend
from astrobio.attention.backends import PORTABLE_BACKENDS

BATCH, HEADS, KV_HEADS, HEAD_DIM = 2, 6, 3, 4
LENGTHS = {"Lq = Lk": (5, 5), "Lq < Lk": (3, 7), "Lq > Lk": (7, 4), "Lq = 1": (1, 6)}

each_backend = pytest.mark.parametrize("backend", PORTABLE_BACKENDS)
each_length = pytest.mark.parametrize(("query_length", "key_length"), LENGTHS.values(), ids=LENGTHS.keys())
each_causal = pytest.mark.parametrize("is_causal", [False, True], ids=["bidirectional", "causal"])


def random_inputs(
    query_length: int, key_length: int, *, dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(BATCH, HEADS, query_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    key = torch.randn(BATCH, KV_HEADS, key_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    value = torch.randn(BATCH, KV_HEADS, key_length, HEAD_DIM, generator=generator, dtype=torch.float64)
    return query.to(dtype), key.to(dtype), value.to(dtype)


def random_mask(query_length: int, key_length: int) -> Tensor:
    """Half of the entries are open; the first query of the first sample has none."""
    mask = torch.rand(BATCH, HEADS, query_length, key_length, generator=torch.Generator().manual_seed(1)) < 0.5
    mask[0, :, 0] = False
    return mask


def random_bias(query_length: int, key_length: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(1, HEADS, query_length, key_length, generator=generator, dtype=torch.float64)


@each_backend
@each_length
@each_causal
@pytest.mark.parametrize("with_mask", [False, True], ids=["no mask", "mask"])
@pytest.mark.parametrize("with_bias", [False, True], ids=["no bias", "bias"])
def test_backend_equals_a_loop_in_float64(
    backend: str,
    query_length: int,
    key_length: int,
    is_causal: bool,
    with_mask: bool,
    with_bias: bool,
    naive_attention: Callable[..., Tensor],
    rounding_bound: Callable[..., float],
) -> None:
    query, key, value = random_inputs(query_length, key_length)
    mask = random_mask(query_length, key_length) if with_mask else None
    bias = random_bias(query_length, key_length) if with_bias else None
    actual = attention(
        query, key, value, is_causal=is_causal, attention_mask=mask, attention_bias=bias, backend=backend
    )
    expected = naive_attention(query, key, value, is_causal=is_causal, allowed=mask, bias=bias)
    bound = 2 * rounding_bound(query, key, value, bias=bias)  # once for each of the two computations
    assert (actual - expected).abs().max() <= bound


@each_backend
@each_length
@each_causal
def test_gradients_equal_those_of_a_loop_in_float64(
    backend: str, query_length: int, key_length: int, is_causal: bool, naive_attention: Callable[..., Tensor]
) -> None:
    tensors = [*random_inputs(query_length, key_length), random_bias(query_length, key_length)]
    mask = random_mask(query_length, key_length)
    weights = torch.randn(BATCH, HEADS, query_length, HEAD_DIM, dtype=torch.float64)
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    output = attention(*leaves[:3], is_causal=is_causal, attention_mask=mask, attention_bias=leaves[3], backend=backend)
    actual = torch.autograd.grad((output * weights).sum(), leaves)
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    expected = torch.autograd.grad(
        (naive_attention(*leaves[:3], is_causal=is_causal, allowed=mask, bias=leaves[3]) * weights).sum(), leaves
    )
    # A gradient is a nested sum of at most this many products, each below 100 here; rounding errs by n u per unit.
    terms = BATCH * HEADS * query_length * key_length * HEAD_DIM
    for gradient, reference in zip(actual, expected, strict=True):
        assert (gradient - reference).abs().max() <= terms * 100 * torch.finfo(torch.float64).eps


@each_backend
@pytest.mark.parametrize("scale", [0.3, -1.0, 0.0])
def test_a_given_scale_replaces_the_default(
    backend: str, scale: float, naive_attention: Callable[..., Tensor], rounding_bound: Callable[..., float]
) -> None:
    query, key, value = random_inputs(4, 5)
    actual = attention(query, key, value, scale=scale, backend=backend)
    expected = naive_attention(query, key, value, scale=scale)
    assert (actual - expected).abs().max() <= 2 * rounding_bound(query, key, value, scale=scale)
    assert not torch.allclose(actual, attention(query, key, value, backend=backend))


@each_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@each_causal
def test_lower_precision_stays_within_the_rounding_bound_of_its_dtype(
    backend: str,
    dtype: torch.dtype,
    is_causal: bool,
    naive_attention: Callable[..., Tensor],
    rounding_bound: Callable[..., float],
) -> None:
    query, key, value = random_inputs(6, 9, dtype=dtype)
    actual = attention(query, key, value, is_causal=is_causal, backend=backend)
    expected = naive_attention(query, key, value, is_causal=is_causal)
    assert actual.dtype == dtype
    assert (actual.double() - expected).abs().max() <= rounding_bound(query, key, value)


@pytest.mark.parametrize("under_autocast", [False, True], ids=["plain", "autocast"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_eager_rounds_half_types_only_once_at_the_end(
    dtype: torch.dtype,
    under_autocast: bool,
    naive_attention: Callable[..., Tensor],
    rounding_bound: Callable[..., float],
) -> None:
    query, key, value = random_inputs(6, 9, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=under_autocast):
        actual = attention(query, key, value, backend="eager")
    expected = naive_attention(query, key, value)
    bound = rounding_bound(query.float(), key.float(), value.float()) + torch.finfo(dtype).eps / 2 * expected.abs()
    assert ((actual.double() - expected).abs() <= bound).all()


@each_backend
def test_rows_with_nothing_to_attend_are_zero_with_finite_gradients(backend: str) -> None:
    query, key, value = (tensor.requires_grad_() for tensor in random_inputs(4, 5, dtype=torch.float32))
    mask = torch.ones(BATCH, 1, 4, 5, dtype=torch.bool)
    mask[0, :, 2] = False
    output = attention(query, key, value, attention_mask=mask, backend=backend)
    assert (output[0, :, 2] == 0).all()
    assert (output[1, :, 2] != 0).all()
    with torch.autograd.set_detect_anomaly(True):  # also refuses NaN on the way, which a later mask would hide
        gradients = torch.autograd.grad(output.square().sum(), (query, key, value))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert (gradients[0][0, :, 2] == 0).all()


@each_backend
def test_minus_infinity_in_the_bias_blocks_like_the_mask(backend: str) -> None:
    query, key, value = random_inputs(4, 5)
    mask, bias = random_mask(4, 5), random_bias(4, 5).expand(BATCH, -1, -1, -1)
    masked = attention(query, key, value, attention_mask=mask, attention_bias=bias, backend=backend)
    infinite = attention(query, key, value, attention_bias=bias.masked_fill(~mask, float("-inf")), backend=backend)
    assert torch.equal(masked, infinite)


@each_backend
def test_causal_queries_ignore_later_keys_counted_from_the_last(backend: str) -> None:
    query, key, value = random_inputs(3, 7)
    before = attention(query, key, value, is_causal=True, backend=backend)
    key[:, :, 5], value[:, :, 5] = 10.0, 10.0
    after = attention(query, key, value, is_causal=True, backend=backend)
    assert torch.equal(after[:, :, 0], before[:, :, 0])  # sees keys 0 to 4
    assert not torch.allclose(after[:, :, 1], before[:, :, 1])  # sees key 5 as well


@each_backend
def test_consecutive_query_heads_share_a_key_value_head(backend: str) -> None:
    query, key, value = random_inputs(4, 5)
    value[:, 1] = 0.0
    heads_that_are_zero = (attention(query, key, value, backend=backend) == 0).all(dim=(0, 2, 3))
    assert heads_that_are_zero.tolist() == [False, False, True, True, False, False]


def test_no_keys_at_all_give_zeros() -> None:
    query, key, value = random_inputs(4, 0)
    assert torch.equal(attention(query, key, value), torch.zeros_like(query))


@each_backend
def test_dropout_keeps_the_expected_sum_of_weights(backend: str) -> None:
    num_keys, dropout_p = 16, 0.25
    query = torch.zeros(1, 1, 4000, 2)
    key = value = torch.ones(1, 1, num_keys, 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sums = attention(query, key, value, dropout_p=dropout_p, backend=backend)[..., 0]
    # Each row is a mean of 16 draws that are 1 / (1 - p) with probability 1 - p: variance p / (1 - p) / 16.
    expected_deviation = (dropout_p / (1 - dropout_p) / num_keys) ** 0.5
    assert abs(float(sums.mean()) - 1) < 5 * expected_deviation / 4000**0.5
    assert abs(float(sums.std()) / expected_deviation - 1) < 5 / (2 * 4000) ** 0.5


@settings(max_examples=40, deadline=None)
@given(
    query_length=st.integers(1, 6),
    key_length=st.integers(1, 6),
    kv_heads=st.integers(1, 3),
    group_size=st.integers(1, 3),
    is_causal=st.booleans(),
    mask_shape=st.tuples(*[st.booleans()] * 4),
    seed=st.integers(0, 2**31),
)
def test_backends_agree_on_any_shape_and_any_broadcast_of_the_mask(
    query_length: int,
    key_length: int,
    kv_heads: int,
    group_size: int,
    is_causal: bool,
    mask_shape: tuple[bool, ...],
    seed: int,
    rounding_bound: Callable[..., float],
) -> None:
    generator = torch.Generator().manual_seed(seed)
    heads = kv_heads * group_size
    query = torch.randn(2, heads, query_length, 4, generator=generator, dtype=torch.float64)
    key, value = torch.randn(2, 2, kv_heads, key_length, 4, generator=generator, dtype=torch.float64)
    full = (2, heads, query_length, key_length)
    mask = torch.rand([n if keep else 1 for n, keep in zip(full, mask_shape, strict=True)], generator=generator) < 0.5
    outputs = [
        attention(query, key, value, is_causal=is_causal, attention_mask=mask, backend=name)
        for name in PORTABLE_BACKENDS
    ]
    bound = 2 * rounding_bound(query, key, value)
    assert all((output - outputs[0]).abs().max() <= bound for output in outputs[1:])


def test_auto_takes_the_fused_backend_and_says_why_not_the_other() -> None:
    selection = select_backend(*random_inputs(4, 5))
    assert selection.name == "sdpa"
    assert selection.not_used["eager"] == "sdpa comes first"
    on_gpus = ("flash_attention_4", "flash_attention_3", "flash_attention_2", "triton")
    assert {selection.not_used[name] for name in on_gpus} == {"it runs on CUDA devices, not on cpu"}


def test_auto_falls_back_where_the_bias_would_be_rounded() -> None:
    inputs = random_inputs(4, 5, dtype=torch.bfloat16)
    bias = random_bias(4, 5).float()
    selection = select_backend(*inputs, attention_bias=bias)
    assert selection.name == "eager"
    assert "torch.float32 does not fit torch.bfloat16" in selection.not_used["sdpa"]
    assert torch.equal(
        attention(*inputs, attention_bias=bias), attention(*inputs, attention_bias=bias, backend="eager")
    )


def test_a_named_backend_that_does_not_support_the_call_is_an_error() -> None:
    inputs = random_inputs(4, 5, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match=r"'sdpa' does not support this call: .*torch\.float32"):
        attention(*inputs, attention_bias=random_bias(4, 5).float(), backend="sdpa")


def test_a_named_backend_is_the_one_selected() -> None:
    selection = select_backend(*random_inputs(4, 5), backend="eager")
    assert selection.name == "eager"
    assert set(selection.not_used.values()) == {"eager was requested"}


def test_an_unknown_backend_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"unknown attention backend 'flash'; choose from: auto, .*triton, sdpa, eager"
    ):
        attention(*random_inputs(4, 5), backend="flash")


ONES = torch.ones(2, 6, 4, 8)


@pytest.mark.parametrize(
    ("query", "key", "value", "error", "message"),
    [
        (ONES.long(), ONES, ONES, TypeError, "query must be floating point"),
        (ONES, ONES.double(), ONES, TypeError, "must share one dtype"),
        (ONES[0], ONES, ONES, ValueError, r"query must be \(B, H, Lq, D\)"),
        (ONES, ONES, ONES[:, :3], ValueError, "key and value must have one shape"),
        (ONES, ONES[:1], ONES[:1], ValueError, "agree in batch and head size"),
        (ONES, ONES[..., :4], ONES[..., :4], ValueError, "agree in batch and head size"),
        (ONES, ONES[:, :4], ONES[:, :4], ValueError, "6 query heads cannot share 4 key/value heads"),
        (ONES, ONES[:, :0], ONES[:, :0], ValueError, "6 query heads cannot share 0 key/value heads"),
    ],
)
def test_tensors_that_do_not_fit_are_named_in_the_error(
    query: Tensor, key: Tensor, value: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        attention(query, key, value)


@pytest.mark.parametrize("dropout_p", [-0.1, 1.0])
def test_dropout_outside_its_range_is_an_error(dropout_p: float) -> None:
    with pytest.raises(ValueError, match=r"dropout_p must be in \[0, 1\)"):
        attention(ONES, ONES, ONES, dropout_p=dropout_p)


def test_a_scale_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(ValueError, match="scale must be finite"):
        attention(ONES, ONES, ONES, scale=float("nan"))


def test_inputs_are_left_unchanged() -> None:
    tensors = [*random_inputs(4, 5), random_mask(4, 5), random_bias(4, 5)]
    copies = [tensor.clone() for tensor in tensors]
    for backend in PORTABLE_BACKENDS:
        attention(*tensors[:3], attention_mask=tensors[3], attention_bias=tensors[4], is_causal=True, backend=backend)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, copies, strict=True))
