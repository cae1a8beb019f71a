"""The oracle's options against the same formulas written out for one query and key at a time; finite differences."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from audit.attention import oracle
from audit.attention.contract import Contract, published_slopes
from audit.attention.plain import ORDERS, Order

HEADS, DIM = 3, 4
# Sums of a few dozen terms of order one, each rounded once: far above their error, far below any mistake.
CLOSE = 1e-12
SLOPES = (0.5, 0.25, 0.125)


def contract(**more: Any) -> Contract:
    return Contract.model_validate(
        {"num_heads": HEADS, "num_kv_heads": HEADS, "head_dim": DIM, "is_causal": True} | more
    )


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs(length_q: int = 5, length_k: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    return (
        normal(2, HEADS, length_q, DIM),
        normal(2, HEADS, length_k, DIM, seed=1),
        normal(2, HEADS, length_k, DIM, seed=2),
    )


def written_out(
    query: Tensor, key: Tensor, value: Tensor, *, promised: Contract, is_causal: bool, sinks: Tensor | None = None
) -> Tensor:
    """One number at a time, as the definitions have them."""
    out = torch.zeros_like(query)
    length_q, length_k = query.shape[2], key.shape[2]
    for b in range(query.shape[0]):
        for h in range(HEADS):
            for i in range(length_q):
                own = i + length_k - length_q
                total = math.exp(float(sinks[h])) if sinks is not None else 0.0
                weights = {}
                for j in range(length_k):
                    if is_causal and j > own:
                        continue
                    farthest = (promised.window or 99) - (promised.window_counts_query is not False)
                    is_global = min(own, j) < (promised.num_global_tokens or 0)
                    if abs(own - j) > farthest and not is_global:
                        continue
                    logit = float(query[b, h, i] @ key[b, h, j]) / math.sqrt(DIM)
                    if promised.soft_cap:
                        logit = promised.soft_cap * math.tanh(logit / promised.soft_cap)
                    if promised.slopes:
                        logit -= promised.slopes[h] * abs(own - j)
                    weights[j] = math.exp(logit)
                total += sum(weights.values())
                for j, weight in weights.items():
                    out[b, h, i] += promised.value_scale * weight / total * value[b, h, j]
    return out


OPTIONS: dict[str, dict[str, Any]] = {
    "soft_cap": {"soft_cap": 0.7},
    "alibi_slopes": {"alibi_slopes": SLOPES},
    "published_slopes": {"alibi_slopes": "published"},
    "sinks": {"sinks": "sinks"},
    "value_scale": {"value_scale": -0.3},
    "window_with_the_query": {"window": 3},
    "window_beside_the_query": {"window": 3, "window_counts_query": False},
    "window_with_global_tokens": {"window": 2, "num_global_tokens": 2},
    "all": {"soft_cap": 1.5, "alibi_slopes": SLOPES, "sinks": "sinks", "value_scale": 2.0, "window": 4},
}


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_computed_as_it_is_defined(name: str, is_causal: bool) -> None:
    promised = contract(**OPTIONS[name])
    sinks = normal(HEADS, seed=3) if promised.sinks else None
    found = oracle.core(*inputs(), contract=promised, is_causal=is_causal, sinks=sinks)
    expected = written_out(*inputs(), promised=promised, is_causal=is_causal, sinks=sinks)
    assert float((found - expected).abs().max()) < CLOSE
    plain = oracle.core(*inputs(), contract=contract(), is_causal=is_causal)
    assert float((found - plain).abs().max()) > 1e-3  # the option does something here


@pytest.mark.parametrize("order", ORDERS, ids=lambda o: f"{o.scaled.name} {o.divided.name} {o.arranged.name}")
@pytest.mark.parametrize("kv_heads", [1, HEADS])
@pytest.mark.parametrize("empty_row", ["zeros", "uniform"])
def test_the_order_of_operations_changes_nothing_but_rounding(order: Order, kv_heads: int, empty_row: str) -> None:
    promised = contract(**OPTIONS["all"], num_kv_heads=kv_heads, empty_row=empty_row)
    query, key, value = inputs()
    key, value = key[:, :kv_heads], value[:, :kv_heads]
    mask = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    mask[0] = False
    sinks = normal(HEADS, seed=3)
    arguments = {"contract": promised, "is_causal": True, "mask": mask, "sinks": sinks}
    found = oracle.core(query, key, value, **arguments, order=order)
    assert float((found - oracle.core(query, key, value, **arguments)).abs().max()) < CLOSE


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_equal_finite_differences(name: str) -> None:
    promised = contract(**OPTIONS[name])
    leaves = [x.requires_grad_() for x in (*inputs(3, 4), normal(HEADS, seed=3))]

    def core(query: Tensor, key: Tensor, value: Tensor, sinks: Tensor) -> Tensor:
        given = sinks if promised.sinks else None
        return oracle.core(query, key, value, contract=promised, is_causal=True, sinks=given)

    assert torch.autograd.gradcheck(core, leaves)


FEATURES = {"elu_plus_one": lambda x: torch.nn.functional.elu(x) + 1, "relu": torch.relu, "exp": torch.exp}


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("feature_map", FEATURES)
@pytest.mark.parametrize("normalised", [True, False])
def test_linear_attention_is_the_running_sum_over_keys(feature_map: str, is_causal: bool, normalised: bool) -> None:
    query, key, value = inputs(6, 6)
    if feature_map == "relu":  # of a query and a key without a positive feature in common nothing is left to divide by
        query, key = query.abs(), key.abs()
    promised = contract(feature_map=feature_map, rows_sum_to_one=normalised)
    found = oracle.core(query, key, value, contract=promised, is_causal=is_causal)
    query, key = FEATURES[feature_map](query), FEATURES[feature_map](key)
    state = torch.einsum("bhnd,bhne->bhnde", key, value)
    state, total = (x.cumsum(2) if is_causal else x.sum(2, keepdim=True).expand_as(x) for x in (state, key))
    expected = torch.einsum("bhnd,bhnde->bhne", query, state)
    if normalised:
        expected = expected / (query * total).sum(-1, keepdim=True)
    assert float((found - expected).abs().max()) < CLOSE * float(expected.abs().max() + 1)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("normalised", [True, False])
def test_positive_random_features_are_those_of_the_paper(is_causal: bool, normalised: bool) -> None:
    query, key, value = inputs(6, 6)
    directions = normal(8, DIM, seed=4)
    promised = contract(feature_map="positive_random", random_features="directions", rows_sum_to_one=normalised)
    found = oracle.core(query, key, value, contract=promised, is_causal=is_causal, features=directions)
    expected, total = torch.zeros_like(value), torch.zeros_like(value)
    for at in range(6):
        for other in range(at + 1 if is_causal else 6):
            x, y = query[:, :, at] / DIM**0.25, key[:, :, other] / DIM**0.25
            of_query = torch.exp(x @ directions.T - x.square().sum(-1, keepdim=True) / 2)
            of_key = torch.exp(y @ directions.T - y.square().sum(-1, keepdim=True) / 2)
            weight = (of_query * of_key).mean(-1, keepdim=True)
            expected[:, :, at] += weight * value[:, :, other]
            total[:, :, at] += weight
    if normalised:
        expected = expected / total
    assert float((found - expected).abs().max()) < CLOSE * float(expected.abs().max() + 1)


def test_many_positive_random_features_estimate_the_softmax() -> None:
    """Within six times the error that lemma 2 of the paper gives for the mean of as many features."""
    query, key, value = (x / 2 for x in inputs(6, 6))
    count = 200_000
    promised = contract(feature_map="positive_random", random_features="directions", rows_sum_to_one=False)
    one = torch.ones_like(value)
    found = oracle.core(query, key, one, contract=promised, is_causal=False, features=normal(count, DIM, seed=4))
    products = torch.einsum("bhid,bhjd->bhij", query, key) / math.sqrt(DIM)
    length = (query[:, :, :, None] + key[:, :, None]).square().sum(-1) / math.sqrt(DIM)
    variance = length.exp() * (2 * products).exp() * (1 - (-length).exp()) / count
    error = (found[..., 0] - products.exp().sum(-1)).abs()
    assert bool((error < 6 * variance.sqrt().sum(-1)).all())
    assert float((6 * variance.sqrt().sum(-1) / products.exp().sum(-1)).max()) < 0.1  # or nothing would be shown


@pytest.mark.parametrize("masked", [False, True])
def test_softmax_features_are_those_of_efficient_attention(masked: bool) -> None:
    query, key, value = inputs()
    mask = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    mask[0, ..., 4:] = False
    found = oracle.core(
        query, key, value, contract=contract(feature_map="softmax"), is_causal=False, mask=mask if masked else None
    )
    for sample, length in ((0, 4 if masked else 7), (1, 7)):
        state = key[sample, :, :length].softmax(-2).mT @ value[sample, :, :length]
        assert float((found[sample] - query[sample].softmax(-1) @ state).abs().max()) < CLOSE


@pytest.mark.parametrize(("empty_row", "expected"), [("zeros", 0.0), (None, 0.0), ("uniform", None), ("nan", math.nan)])
def test_a_query_with_nothing_to_attend_to_has_the_declared_output(
    empty_row: str | None, expected: float | None
) -> None:
    query, key, value = inputs()
    mask = torch.zeros(2, 1, 1, 7, dtype=torch.bool)
    mask[1] = True
    found = oracle.core(query, key, value, contract=contract(empty_row=empty_row), is_causal=False, mask=mask)
    wanted = (
        value[0].mean(-2, keepdim=True).expand_as(found[0]) if expected is None else torch.full_like(found[0], expected)
    )
    torch.testing.assert_close(found[0], wanted, rtol=0, atol=CLOSE, equal_nan=True)
    assert torch.isfinite(found[1]).all()


def test_a_mask_that_replaces_the_causal_one_lets_later_keys_through() -> None:
    query, key, _ = inputs(5, 5)
    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    joined = oracle.allowed_keys(query, key, contract=contract(), is_causal=True, mask=mask)
    replaced = oracle.allowed_keys(query, key, contract=contract(given_mask="replaces"), is_causal=True, mask=mask)
    alone = oracle.allowed_keys(query, key, contract=contract(given_mask="replaces"), is_causal=True)
    assert torch.equal(joined, alone)
    assert replaced.all()
    assert not joined.all()


def test_published_slopes_are_those_of_the_paper() -> None:
    # The examples of the paper: 8 heads, 16 heads; and of its code for 12: 8, then every second one of 16.
    assert published_slopes(8) == tuple(2.0**-i for i in range(1, 9))
    assert published_slopes(16) == pytest.approx([2.0 ** (-i / 2) for i in range(1, 17)])
    assert published_slopes(12) == pytest.approx(
        [*(2.0**-i for i in range(1, 9)), *(2.0 ** (-i / 2) for i in (1, 3, 5, 7))]
    )
    assert published_slopes(1) == (2.0**-8,)
