"""The oracle against torch's own math backend, torch's module, complex rotation and numerical derivatives."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from audit.attention import oracle
from audit.attention.contract import Contract, Projections
from audit.attention.plain import ORDERS, Order

UNIT_ROUNDOFF = torch.finfo(torch.float64).eps / 2
NAMES = Projections(query="query", key="key", value="value", output="output")


def contract(heads: int, kv_heads: int, head_dim: int, **more: Any) -> Contract:
    return Contract(num_heads=heads, num_kv_heads=kv_heads, head_dim=head_dim, is_causal=True, **more)


def two_roundings(query: Tensor, key: Tensor, value: Tensor, scale: float) -> float:
    """How far two float64 evaluations of attention may lie apart, to first order.

    A sum of n terms errs by at most n u times the sum of the terms' sizes (Higham 2002, section 3.1). An error e of
    the scores changes a weight by a factor of at most exp(2 e); exponential, sum and division add (Lk + 3) u.
    """
    head_dim, length_k = query.shape[-1], key.shape[-2]
    largest_score = abs(scale) * float(query.abs().sum(-1).max() * key.abs().max())
    of_weights = 2 * (head_dim + 4) * UNIT_ROUNDOFF * largest_score + (length_k + 3) * UNIT_ROUNDOFF
    return 2 * (of_weights + (length_k + 1) * UNIT_ROUNDOFF) * float(value.abs().max())


@st.composite
def inputs(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value in float64 with sizes drawn independently."""
    kv_heads, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    batch, head_dim = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    length_q, length_k = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    key, value = normal(batch, kv_heads, length_k, head_dim), normal(batch, kv_heads, length_k, head_dim)
    return normal(batch, kv_heads * groups, length_q, head_dim), key, value


def math_backend(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None, scale: float | None) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return scaled_dot_product_attention(query, key, value, attn_mask=keep, scale=scale, enable_gqa=True)


@given(
    data=inputs(),
    is_causal=st.booleans(),
    masked=st.booleans(),
    scale=st.none() | st.floats(-2, 2),
    seed=st.integers(0, 99),
)
def test_equals_the_math_backend(
    data: tuple[Tensor, Tensor, Tensor], is_causal: bool, masked: bool, scale: float | None, seed: int
) -> None:
    query, key, value = data
    length_q, length_k = query.shape[2], key.shape[2]
    promised = contract(query.shape[1], key.shape[1], query.shape[3], scale=scale)
    # Bottom right: the last query sees every key.
    keep = torch.ones(length_q, length_k, dtype=torch.bool).tril(length_k - length_q if is_causal else length_k)
    mask = torch.rand(query.shape[0], 1, length_q, length_k, generator=torch.Generator().manual_seed(seed)) < 0.7
    keep = keep & mask if masked else keep.expand(query.shape[0], 1, -1, -1)
    found = oracle.core(query, key, value, contract=promised, is_causal=is_causal, mask=mask if masked else None)
    expected = math_backend(query, key, value, keep, scale)
    some = keep.any(dim=-1).expand(query.shape[:3])
    bound = two_roundings(query, key, value, promised.effective_scale)
    assert float((found - expected)[some].abs().sum(-1).max() if some.any() else 0) <= bound * query.shape[3]
    assert not found[~some].any()  # a query that may attend to nothing gives zeros, by definition


@given(data=inputs())
def test_top_left_alignment_is_that_of_torch(data: tuple[Tensor, Tensor, Tensor]) -> None:
    query, key, value = data
    promised = contract(query.shape[1], key.shape[1], query.shape[3], causal_alignment="top_left")
    with sdpa_kernel(SDPBackend.MATH):
        expected = scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    found = oracle.core(query, key, value, contract=promised, is_causal=True)
    assert float((found - expected).abs().max()) <= two_roundings(query, key, value, promised.effective_scale)


@given(data=inputs(), window=st.integers(1, 5), is_causal=st.booleans())
def test_a_window_counts_the_query_s_own_position(
    data: tuple[Tensor, Tensor, Tensor], window: int, is_causal: bool
) -> None:
    query, key, _ = data
    promised = contract(query.shape[1], key.shape[1], query.shape[3], window=window)
    length_q, length_k = query.shape[2], key.shape[2]
    allowed = oracle.allowed_keys(query, key, contract=promised, is_causal=is_causal)
    for row in range(length_q):
        own = row + length_k - length_q  # the last query stands at the last key
        last = own if is_causal else own + window - 1
        expected = [own - window < column <= last for column in range(length_k)]
        assert (allowed[:, :, row] == torch.tensor(expected)).all()


@given(data=inputs())
def test_tiled_grouping_gives_query_head_h_the_key_head_h_modulo_groups(data: tuple[Tensor, Tensor, Tensor]) -> None:
    query, key, value = data
    promised = contract(query.shape[1], key.shape[1], query.shape[3], head_grouping="tiled")
    found = oracle.core(query, key, value, contract=promised, is_causal=False)
    for head in range(query.shape[1]):
        of = slice(head % key.shape[1], head % key.shape[1] + 1)
        expected = math_backend(query[:, head : head + 1], key[:, of], value[:, of], None, None)
        error = float((found[:, head : head + 1] - expected).abs().max())
        assert error <= two_roundings(query, key, value, promised.effective_scale)


@pytest.mark.parametrize(
    "order", ORDERS, ids=lambda order: f"{order.scaled.name} {order.divided.name} {order.arranged.name}"
)
@given(
    data=inputs(), is_causal=st.booleans(), grouping=st.sampled_from(["interleaved", "tiled"]), scale=st.floats(-2, 2)
)
def test_the_order_of_operations_changes_rounding_only(
    order: Order, data: tuple[Tensor, Tensor, Tensor], is_causal: bool, grouping: str, scale: float
) -> None:
    query, key, value = data
    promised = contract(query.shape[1], key.shape[1], query.shape[3], head_grouping=grouping, scale=scale)
    by_definition, in_order = (
        oracle.core(query, key, value, contract=promised, is_causal=is_causal, order=each) for each in (None, order)
    )
    assert float((by_definition - in_order).abs().max()) <= two_roundings(query, key, value, scale)


def test_any_two_choices_meet_in_one_order() -> None:
    pairs = [
        {(order.scaled, order.divided), (order.scaled, order.arranged), (order.divided, order.arranged)}
        for order in ORDERS
    ]
    assert len(set().union(*pairs)) == 3 * 3 + 3 * 4 + 3 * 4


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_module_equals_torchs_multi_head_attention(is_causal: bool, masked: bool) -> None:
    torch.manual_seed(0)
    reference = nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64).requires_grad_(False)
    nn.init.normal_(reference.in_proj_bias)
    nn.init.normal_(reference.out_proj.bias)
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    key_mask = torch.ones(2, 7, dtype=torch.bool)
    key_mask[0, 5:] = False
    weights = dict(zip(("query", "key", "value"), reference.in_proj_weight.chunk(3), strict=True))
    biases = dict(zip(("query", "key", "value"), reference.in_proj_bias.chunk(3), strict=True))
    state = {f"{name}.weight": weight for name, weight in weights.items()}
    state |= {f"{name}.bias": bias for name, bias in biases.items()}
    state |= {"output.weight": reference.out_proj.weight, "output.bias": reference.out_proj.bias}
    promised = Contract(num_heads=3, num_kv_heads=3, head_dim=4, embed_dim=12, is_causal=is_causal, projections=NAMES)
    found = oracle.module(state, x, contract=promised, key_mask=key_mask if masked else None)
    future = torch.ones(7, 7, dtype=torch.bool).triu(1) if is_causal else None
    padding = ~key_mask if masked else None
    expected, _ = reference(x, x, x, attn_mask=future, key_padding_mask=padding, need_weights=False)
    # The cores differ by their own rounding; four projections of 12 terms multiply it by at most their row sums.
    projected = [x @ weights[name].T + biases[name] for name in ("query", "key", "value")]
    query, key, value = (t.view(2, 7, 3, 4).transpose(1, 2) for t in projected)
    rows = max(1.0, *(float(w.abs().sum(dim=1).max()) for w in (*weights.values(), reference.out_proj.weight)))
    bound = 13 * rows * rows * float(x.abs().max()) * two_roundings(query, key, value, 0.5)
    assert float((found - expected).abs().max()) <= bound


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("base", [10.0, 10_000.0])
def test_rotation_is_multiplication_with_a_complex_number(layout: str, base: float) -> None:
    x = torch.randn(2, 3, 11, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = oracle.rotate(x, contract(3, 3, 8, rotary_base=base, rotary_layout=layout))
    pairs = [(i, i + 4) for i in range(4)] if layout == "half" else [(2 * i, 2 * i + 1) for i in range(4)]
    for position in range(11):
        for i, (real, imaginary) in enumerate(pairs):
            angle = position * base ** (-2 * i / 8)
            turned = torch.complex(x[:, :, position, real], x[:, :, position, imaginary]) * complex(
                math.cos(angle), math.sin(angle)
            )
            # Products, a sum and an angle whose rounding grows with the position.
            bound = (4 + 4 * position) * UNIT_ROUNDOFF * float(turned.abs().max())
            assert float((found[:, :, position, real] - turned.real).abs().max()) <= bound
            assert float((found[:, :, position, imaginary] - turned.imag).abs().max()) <= bound


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("grouping", ["interleaved", "tiled"])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_equal_finite_differences(is_causal: bool, grouping: str, masked: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    query = torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    key, value = (torch.randn(2, 2, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True) for _ in "kv")
    mask = torch.ones(2, 1, 1, 4, dtype=torch.bool)
    mask[0] = False  # the first sample attends to nothing: its gradients are zero, not NaN
    promised = contract(4, 2, 5, head_grouping=grouping)

    def core(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return oracle.core(query, key, value, contract=promised, is_causal=is_causal, mask=mask if masked else None)

    assert torch.autograd.gradcheck(core, (query, key, value))
