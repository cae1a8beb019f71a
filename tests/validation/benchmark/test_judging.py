"""Whether an answer is right: at every place that is looked at, in output and in gradients, and of the right form."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from torch import Tensor

from audit.attention import oracle
from audit.attention.contract import Contract
from audit.gateway import ProbeFailure
from validation.benchmark.cases import AttentionCase
from validation.benchmark.fused_order import fused
from validation.benchmark.judging import Looks, allowed_of, looks_at, verified, verified_model

CASE = AttentionCase.model_validate(
    {"batch": 2, "heads": 4, "kv_heads": 2, "length": 40, "head_dim": 16, "is_causal": True, "window": 9,
     "dtype": "float32", "mode": "backward"}
)  # fmt: skip


def case(**changes: object) -> AttentionCase:
    return AttentionCase.model_validate({**CASE.model_dump(), **changes})


def reply(given: AttentionCase, looks: Looks, *, scale: float = 1.0, dtype: str | None = None) -> dict[str, object]:
    """What the probe sends of torch's own attention, whose logits are scaled once more by `scale`."""
    generator = torch.Generator().manual_seed(0)
    to = getattr(torch, given.dtype)
    of_query = (given.batch, given.heads, given.queries, given.head_dim)
    of_key = (given.batch, given.kv_heads, given.length, given.head_dim)
    query, key, value, weights = (
        torch.randn(shape, generator=generator).to(to) for shape in (of_query, of_key, of_key, of_query)
    )
    rows = list(looks.rows)
    silent = torch.ones(given.queries, dtype=torch.bool)
    silent[rows] = False
    weights[:, :, silent] = 0
    leaves = [tensor.requires_grad_() for tensor in (query, key, value)]
    mask = allowed_of(given, range(given.queries))
    output = F.scaled_dot_product_attention(
        *leaves, attn_mask=mask, enable_gqa=True, scale=scale * given.head_dim**-0.5
    )
    gradients = torch.autograd.grad(output, leaves, weights)
    group = given.heads // given.kv_heads

    def of_queries(tensor: Tensor) -> Tensor:
        return torch.stack([tensor[b, h * group : (h + 1) * group][:, rows] for b, h in looks.places]).detach()

    def of_keys(tensor: Tensor) -> Tensor:
        return torch.stack([tensor[b, h] for b, h in looks.places]).detach()

    tensors = {
        "query": of_queries(query), "weights": of_queries(weights), "output": of_queries(output),
        "query_gradient": of_queries(gradients[0]), "key": of_keys(key), "value": of_keys(value),
        "key_gradient": of_keys(gradients[1]), "value_gradient": of_keys(gradients[2]),
    }  # fmt: skip
    return {"shape": list(of_query), "dtype": dtype or given.dtype, "tensors": save(tensors)}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_torchs_attention_is_right_in_every_dtype(dtype: str) -> None:
    given = case(dtype=dtype)
    looks = looks_at(given, seed=0)
    found = verified(given, looks, reply(given, looks), seed=0)
    assert found.passed
    assert 0 < found.bound < 0.2


def test_a_scale_that_is_two_percent_off_is_not() -> None:
    looks = looks_at(CASE, seed=0)
    found = verified(CASE, looks, reply(CASE, looks, scale=1.02), seed=0)
    assert not found.passed


def test_rows_that_are_not_looked_at_have_no_part_in_the_gradients() -> None:
    looks = looks_at(CASE, seed=0, most_rows=7, most_places=3)
    assert len(looks.rows) == 7
    assert len(looks.places) == 3
    assert verified(CASE, looks, reply(CASE, looks), seed=0).passed


@pytest.mark.parametrize("name", ["output", "query_gradient", "key_gradient", "value_gradient"])
def test_one_wrong_number_is_seen_wherever_it_is(name: str) -> None:
    looks = looks_at(CASE, seed=0)
    told = reply(CASE, looks)
    tensors = load(told["tensors"])
    tensors[name].view(-1)[-1] += 0.01
    found = verified(CASE, looks, {**told, "tensors": save(tensors)}, seed=0)
    assert not found.passed
    assert found.of.startswith(name.replace("_", " "))


def test_nan_is_not_right() -> None:
    looks = looks_at(CASE, seed=0)
    told = reply(CASE, looks)
    tensors = load(told["tensors"])
    tensors["output"].view(-1)[0] = float("nan")
    assert not verified(CASE, looks, {**told, "tensors": save(tensors)}, seed=0).passed


def test_another_dtype_or_shape_is_wrong_and_named() -> None:
    looks = looks_at(CASE, seed=0)
    told = reply(CASE, looks, dtype="float16")
    assert "float16 (2, 4, 40, 16), and should be float32" in verified(CASE, looks, told, seed=0).of
    told = {**reply(CASE, looks), "shape": [2, 4, 40]}
    assert not verified(CASE, looks, told, seed=0).passed


def test_inputs_that_say_nothing_are_not_judged() -> None:
    looks = looks_at(CASE, seed=0)
    told = reply(CASE, looks)
    tensors = load(told["tensors"])
    tensors["value"].zero_()
    with pytest.raises(ProbeFailure, match="inputs that are not those"):
        verified(CASE, looks, {**told, "tensors": save(tensors)}, seed=0)
    with pytest.raises(ProbeFailure, match="malformed"):
        verified(CASE, looks, {**told, "tensors": b"nothing"}, seed=0)
    del tensors["output"]
    with pytest.raises(ProbeFailure, match="no output of shape"):
        verified(CASE, looks, {**told, "tensors": save(tensors)}, seed=0)


@pytest.mark.parametrize("window", [None, 6])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mode", ["forward", "decode"])
def test_the_mask_is_the_oracles(window: int | None, is_causal: bool, mode: str) -> None:
    given = case(window=window, is_causal=is_causal, mode=mode, batch=1, heads=1, kv_heads=1)
    contract = Contract(num_heads=1, num_kv_heads=1, head_dim=16, is_causal=is_causal, window=window)
    query, key = torch.zeros(1, 1, given.queries, 16), torch.zeros(1, 1, given.length, 16)
    expected = oracle.allowed_keys(query, key, contract=contract, is_causal=is_causal)[0, 0]
    assert torch.equal(allowed_of(given, range(given.queries)), expected)


def test_a_row_is_drawn_from_every_stretch_with_the_first_and_the_last() -> None:
    long = case(length=5000, window=None)
    rows = looks_at(long, seed=3).rows
    assert (rows[0], rows[-1], len(rows)) == (0, 4999, 512)
    assert all(later - earlier < 2 * 5000 / 512 + 2 for earlier, later in itertools.pairwise(rows))
    assert looks_at(long, seed=3) == looks_at(long, seed=3)
    assert looks_at(long, seed=4).rows != rows


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"not_finite": 2}, "2 values that are not finite"),
        ({"values": 0}, "1 outputs without a floating-point value"),
        ({"outputs": [{"output": "a"}, {"output": "a"}]}, "1 batches with the output of another"),
    ],
)
def test_a_model_is_right_when_finite_and_moved_by_its_input(changes: dict[str, object], said: str | None) -> None:
    told = {"values": 9, "not_finite": 0, "outputs": [{"output": "a"}, {"output": "b"}], **changes}
    found = verified_model(told, seed=0)
    assert found.passed is (said is None)
    assert said is None or found.of == said


LONG = case(batch=1, heads=2, kv_heads=1, length=2048, head_dim=64, window=None)


def fast(given: AttentionCase, looks: Looks) -> dict[str, object]:
    """What a fused kernel answers whose exponential errs as CUDA's fast one may."""
    answer = reply(given, looks)
    tensors = load(answer["tensors"])  # type: ignore[arg-type]
    names = ("query", "key", "value", "weights")
    query, key, value, weights = (tensors[name] for name in names)
    output, by_query, by_key, by_value = fused(
        query, key[:, None], value[:, None], allowed_of(given, looks.rows), weights
    )
    computed = {
        "output": output,
        "query_gradient": by_query,
        "key_gradient": by_key[:, 0],
        "value_gradient": by_value[:, 0],
    }
    return {**answer, "tensors": save({**tensors, **{name: each.contiguous() for name, each in computed.items()}})}


def test_the_order_of_fused_kernels_computes_the_same() -> None:
    looks = looks_at(CASE, 3)
    answer = load(reply(CASE, looks)["tensors"])  # type: ignore[arg-type]
    found = fused(
        answer["query"].double(), answer["key"][:, None].double(), answer["value"][:, None].double(),
        allowed_of(CASE, looks.rows), answer["weights"].double(),
    )  # fmt: skip
    for name, each in zip(("output", "query_gradient", "key_gradient", "value_gradient"), found, strict=True):
        assert torch.allclose(each.reshape(answer[name].shape).float(), answer[name], atol=1e-5), name


def test_the_fast_exponential_of_a_gpu_is_no_mistake_there() -> None:
    looks = looks_at(LONG, 0, most_places=1, most_rows=128)
    answer = fast(LONG, looks)
    on_cpu, on_gpu = (verified(LONG, looks, answer, 0, on_gpu=on_gpu) for on_gpu in (False, True))
    assert on_gpu.passed
    assert on_gpu.bound > on_cpu.bound
    assert "fast exponential" in on_gpu.bound_origin
    assert "fast exponential" not in on_cpu.bound_origin
    assert not verified(LONG, looks, reply(LONG, looks, scale=1.0001), 0, on_gpu=True).passed
