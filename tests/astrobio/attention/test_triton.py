"""Our Triton kernels, under Triton's interpreter and on a GPU where there is one, against the definition in float64."""

import importlib.util
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from .within_rounding import assert_within_rounding


def why_not_interpreted() -> str:
    """Empty where the interpreter can run."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed; the extra `kernels` brings it"
    is_old = tuple(map(int, metadata.version("triton").split(".")[:2])) < (3, 7)
    if is_old and tuple(map(int, metadata.version("numpy").split(".")[:2])) >= (2, 4):
        return "the interpreter of triton before 3.7 takes int() of arrays, which numpy refuses since 2.4"
    return ""


def why_not_compiled() -> str:
    """Empty where there is a GPU to compile for."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed; the extra `kernels` brings it"
    return "" if torch.cuda.is_available() else "there is no CUDA device"


BATCH, HEADS = 2, 4
# Interpreted, a block takes some 10 ms: what is beyond one case of each feature is left to the slow tests.
MORE = pytest.mark.slow
Worker = Callable[..., Any]
INTERPRETED, COMPILED = (
    pytest.param(kind, marks=pytest.mark.skipif(bool(why), reason=why))
    for kind, why in (("interpreted", why_not_interpreted()), ("compiled", why_not_compiled()))
)


def started(kind: str) -> Iterator[Worker]:
    """Calls a function of `triton_worker.py` in a process in which Triton interprets, or compiles for the GPU."""
    worker = Path(__file__).with_name("triton_worker.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment["TRITON_INTERPRET"] = "1" if kind == "interpreted" else "0"
    with subprocess.Popen(
        [sys.executable, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        requests, replies = process.stdin, process.stdout
        assert requests is not None
        assert replies is not None

        def call(name: str, **arguments: Any) -> Any:
            pickle.dump((name, arguments), requests)
            requests.flush()
            succeeded, reply = pickle.load(replies)
            assert succeeded, reply
            return reply

        yield call
        requests.close()


@pytest.fixture(scope="module", params=[INTERPRETED, COMPILED])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    yield from started(request.param)


@pytest.fixture(scope="module", params=[COMPILED])
def compiling(request: pytest.FixtureRequest) -> Iterator[Worker]:
    yield from started(request.param)


def random_inputs(
    query_length: int, key_length: int, *, dtype: torch.dtype = torch.float32, kv_heads: int = 2, head_dim: int = 20
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(BATCH, HEADS, query_length, head_dim, generator=generator)
    key, value = torch.randn(2, BATCH, kv_heads, key_length, head_dim, generator=generator)
    return [tensor.to(dtype) for tensor in (query, key, value)]


def random_options(names: str, query_length: int, key_length: int, dtype: torch.dtype) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    key_mask = torch.rand(BATCH, key_length, generator=generator) < 0.7
    mask = torch.rand(BATCH, 1, query_length, key_length, generator=generator) < 0.7
    mask[0, :, 0] = False  # a row with nothing to attend to
    bias = torch.randn(HEADS, query_length, key_length, generator=generator).to(dtype)
    every = {
        "causal": {"is_causal": True},
        "window": {"window": 6},
        "wide window": {"window": 21},
        "cap": {"soft_cap": 1.3},
        "alibi": {"alibi_slopes": torch.tensor([0.5, 0.25, 0.0, 1.5])},
        "key mask": {"key_mask": key_mask},
        "mask": {"attention_mask": mask},
        "bias": {"attention_bias": bias},
        "bias of keys": {"attention_bias": bias[:, :1]},
        "negative scale": {"scale": -0.3},
    }
    return {key: value for name in names.split(" + ") if name for key, value in every[name].items()}


def check(worker: Worker, tensors: list[Tensor], options: dict[str, Any], *, in_base_2: bool = False) -> list[Tensor]:
    weights = torch.randn(tensors[0].shape, generator=torch.Generator().manual_seed(2))
    actual: list[Tensor] = worker("attended", tensors=tensors, weights=weights, options=options)
    assert_within_rounding(actual, tensors, weights, options, in_base_2=in_base_2)
    return actual


EVERYTHING = "causal + wide window + cap + alibi + key mask + mask + bias"
OPTIONS = [
    "", "causal", "window", "wide window", "causal + window", "cap", "alibi", "causal + alibi", "key mask", "mask",
    "causal + mask", "bias", "bias of keys", "negative scale", "negative scale + causal + cap", EVERYTHING,
]  # fmt: skip
LENGTHS = [(17, 17), (40, 19), (1, 33), (17, 1), (1, 1)]
SIZES = [
    *(("causal + window", *lengths) for lengths in LENGTHS),
    *((EVERYTHING, *lengths) for lengths in LENGTHS[1:3]),
    *(pytest.param(EVERYTHING, *lengths, marks=MORE) for lengths in (LENGTHS[0], *LENGTHS[3:])),
    *(pytest.param(names, *lengths, marks=MORE) for names in ("causal", "window") for lengths in LENGTHS),
    *(pytest.param(names, 49, 35, marks=MORE) for names in ("causal", "causal + window", "window", EVERYTHING)),
]


@pytest.mark.parametrize("names", OPTIONS, ids=lambda names: names or "plain")
def test_an_option_is_computed_forward_and_backward(names: str, worker: Worker) -> None:
    # Two blocks of queries and of keys, the last in part: some are seen whole, some in part, some not at all.
    check(worker, random_inputs(17, 40), random_options(names, 17, 40, torch.float32))


@pytest.mark.parametrize(("names", "query_length", "key_length"), SIZES)
def test_any_lengths_are_computed(names: str, query_length: int, key_length: int, worker: Worker) -> None:
    options = random_options(names, query_length, key_length, torch.float32)
    check(worker, random_inputs(query_length, key_length, kv_heads=4), options)


FEW = [
    ("", 1, 40), (EVERYTHING, 3, 45), ("causal + window", 16, 50),
    *(pytest.param(names, queries, 45, marks=MORE) for names in OPTIONS for queries in (1, 2, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("names", "query_length", "key_length"), FEW)
def test_keys_that_several_programs_share_are_weighed_right(
    names: str, query_length: int, key_length: int, worker: Worker
) -> None:
    tensors = random_inputs(query_length, key_length)
    assert worker("number_of_splits", tensors=tensors, window=None) == 3 or torch.cuda.is_available()
    check(worker, tensors, random_options(names, query_length, key_length, torch.float32))


@pytest.mark.parametrize(
    ("names", "dtype"), [("causal", torch.float16), pytest.param(EVERYTHING, torch.bfloat16, marks=MORE)]
)
def test_one_query_of_many_keys_is_rounded_once(names: str, dtype: torch.dtype, worker: Worker) -> None:
    tensors = random_inputs(1, 1100, dtype=dtype, head_dim=16)
    assert worker("number_of_splits", tensors=tensors, window=None) > 1
    check(worker, tensors, random_options(names, 1, 1100, dtype))


@pytest.mark.parametrize(
    ("queries", "keys", "window", "are_shared"),
    [(1, 1100, None, True), (16, 1100, None, True), (17, 1100, None, False), (1, 1, None, False), (1, 1100, 1, False)],
)
def test_keys_are_shared_where_queries_are_few_and_keys_many(
    queries: int, keys: int, window: int | None, are_shared: bool, worker: Worker
) -> None:
    found = worker("number_of_splits", tensors=random_inputs(queries, keys), window=window)
    assert (found > 1) == are_shared


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "names",
    [EVERYTHING, *(pytest.param(names, marks=MORE) for names in ("", "causal + window", "cap"))],
    ids=lambda names: names or "plain",
)
def test_half_types_are_rounded_no_more_than_plain_attention(names: str, dtype: torch.dtype, worker: Worker) -> None:
    check(worker, random_inputs(20, 40, dtype=dtype, head_dim=16), random_options(names, 20, 40, dtype))


@pytest.mark.parametrize("dtype", [torch.float16, pytest.param(torch.bfloat16, marks=MORE)])
def test_sums_over_a_thousand_keys_are_kept_in_float32(dtype: torch.dtype, worker: Worker) -> None:
    query, key, value = random_inputs(17, 1100, dtype=dtype, kv_heads=1, head_dim=16)
    check(worker, [query[:1, :1], key[:1], value[:1] + 1], {"is_causal": True})


@pytest.mark.parametrize("head_dim", [1, 33, pytest.param(16, marks=MORE), pytest.param(64, marks=MORE)])
def test_any_width_of_heads_is_computed(head_dim: int, worker: Worker) -> None:
    check(worker, random_inputs(18, 21, head_dim=head_dim), {"is_causal": True})


@pytest.mark.parametrize("kv_heads", [1, 4, pytest.param(2, marks=MORE)])
def test_query_heads_share_key_heads_in_order(kv_heads: int, worker: Worker) -> None:
    check(worker, random_inputs(20, 35, kv_heads=kv_heads), random_options("alibi + bias", 20, 35, torch.float32))


@pytest.mark.parametrize(
    "layout", ["features apart", "part of a larger tensor", pytest.param("positions before heads", marks=MORE)]
)
def test_the_layout_of_inputs_changes_nothing(layout: str, worker: Worker) -> None:
    contiguous, other = worker("attended_like", tensors=random_inputs(18, 33), layout=layout)
    assert all(torch.equal(one, another) for one, another in zip(contiguous, other, strict=True))


def test_rows_with_nothing_to_attend_are_zero_with_finite_gradients(worker: Worker) -> None:
    options = {"key_mask": torch.tensor([[False] * 19, [True] * 19]), "is_causal": True}
    tensors = random_inputs(24, 19)  # the first five queries stand before the first key
    weights = torch.ones(tensors[0].shape)
    output, *gradients = worker("attended", tensors=tensors, weights=weights, options=options)
    assert (output[0] == 0).all()
    assert (output[1, :, :5] == 0).all()
    assert (output[1, :, 5:] != 0).any(dim=-1).all()
    assert all(gradient.isfinite().all() and (gradient[0] == 0).all() for gradient in gradients)
    assert all((gradient[1] != 0).any() for gradient in gradients)


def test_no_keys_give_zeros(worker: Worker) -> None:
    tensors = random_inputs(5, 0)
    found = worker("attended", tensors=tensors, weights=torch.ones(tensors[0].shape), options={})
    assert [each.shape for each in found] == [tensors[0].shape, *(tensor.shape for tensor in tensors)]
    assert all((each == 0).all() for each in found)


@pytest.mark.parametrize(("dtype", "factor"), [(torch.float32, 4), (torch.bfloat16, 30)])
def test_large_scores_stay_within_rounding(dtype: torch.dtype, factor: int, worker: Worker) -> None:
    # The largest are some 60 and 4,000. At 4,000 float32 itself leaves 3 digits behind the point. Scores are brought to
    # base 2 before the largest is taken off, which rounds large ones of float32 once more than the definition does.
    query, key, value = random_inputs(17, 33, dtype=dtype)
    check(worker, [query * factor, key * factor, value], {"is_causal": True}, in_base_2=True)


@pytest.mark.parametrize("query_length", [19, 2])
def test_the_logarithms_of_the_row_sums_are_kept(query_length: int, worker: Worker) -> None:
    query, key, value = random_inputs(query_length, 37, kv_heads=4)
    key_mask = torch.tensor([[True] * 30 + [False] * 7, [False] * 37])
    found = worker("log_sums", tensors=[query, key, value], key_mask=key_mask)
    scores = query.double() @ key.double().mT / math.sqrt(query.shape[-1])
    expected = scores[0, :, :, :30].logsumexp(dim=-1)
    assert torch.allclose(found[0].double(), expected, rtol=0, atol=1e-5)  # numbers below 10, in float32
    assert (found[1] == math.inf).all()


PACKED = {
    "plain": {},
    "causal": {"is_causal": True},
    "window": {"is_causal": True, "window": 5},
    "all": {
        "is_causal": True, "window": 20, "soft_cap": 1.3, "alibi_slopes": torch.tensor([0.5, 0.25, 0.0, 1.5]),
        "scale": 0.4,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [pytest.param(PACKED[name], id=name, marks=[] if name == "all" else MORE) for name in PACKED],
)
def test_packed_sequences_are_computed_each_for_itself(options: dict[str, Any], worker: Worker) -> None:
    lengths = [(5, 5), (0, 3), (33, 40), (20, 9), (4, 0), (1, 17)]
    starts = [torch.tensor([0, *(pair[side] for pair in lengths)]).cumsum(0).int() for side in (0, 1)]
    generator = torch.Generator().manual_seed(3)
    behind = 2  # positions that belong to no sequence
    query, weights = torch.randn(2, int(starts[0][-1]) + behind, HEADS, 12, generator=generator)
    key, value = torch.randn(2, int(starts[1][-1]) + behind, 2, 12, generator=generator)
    found = worker("packed", tensors=[query, key, value], weights=weights, starts=starts, options=options)
    assert all((each[-behind:] == 0).all() for each in found)
    for n in range(len(lengths)):
        queries, keys = (slice(int(each[n]), int(each[n + 1])) for each in starts)
        own = [each[rows].transpose(0, 1)[None] for each, rows in ((query, queries), (key, keys), (value, keys))]
        mine = [found[i][rows].transpose(0, 1)[None] for i, rows in enumerate((queries, queries, keys, keys))]
        if all(lengths[n]):
            assert_within_rounding(mine, own, weights[queries].transpose(0, 1)[None], options)
        else:
            assert all((each == 0).all() for each in mine)


def test_the_chain_takes_the_kernels_where_they_run(worker: Worker) -> None:
    tensors = random_inputs(5, 7)
    for given in (tensors, [tensor.half() for tensor in tensors]):
        assert worker("selected", tensors=given, window=3) == "triton"
        assert worker("selected", tensors=given, soft_cap=2.0) == "triton"
        assert worker("selected", tensors=given) == "sdpa"  # torch's own are faster where they need no mask
    assert worker("selected", tensors=[tensor.double() for tensor in tensors], window=3) == "sdpa"


# The largest blocks are 128 wide: several of them, the last in part, and some that the causal rule leaves out.
IN_BLOCKS = [
    (kernel, number)
    for kernel, numbers in (("forward", 11), ("key_value", 6), ("query", 6))
    for number in range(numbers)
]


def test_every_choice_of_blocks_is_tried(compiling: Worker) -> None:
    numbers = compiling("numbers_of_choices")
    assert sorted(IN_BLOCKS) == sorted((kernel, each) for kernel in numbers for each in range(numbers[kernel]))


@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize(("kernel", "number"), IN_BLOCKS)
def test_blocks_of_any_size_compute_the_same(kernel: str, number: int, head_dim: int, compiling: Worker) -> None:
    tensors = random_inputs(333, 517, dtype=torch.bfloat16, head_dim=head_dim)
    weights = torch.randn(tensors[0].shape, generator=torch.Generator().manual_seed(2))
    options = {"is_causal": True}
    found = compiling(
        "attended_in_blocks", tensors=tensors, weights=weights, options=options, kernel=kernel, number=number
    )
    assert_within_rounding(found, tensors, weights, options)


@pytest.mark.parametrize(
    ("dtype", "head_dim"), [(torch.float16, 256), (torch.bfloat16, 80), (torch.bfloat16, 128), (torch.float32, 64)]
)
def test_the_blocks_that_triton_chooses_compute_it(dtype: torch.dtype, head_dim: int, compiling: Worker) -> None:
    tensors = random_inputs(300, 300, dtype=dtype, head_dim=head_dim)
    weights = torch.randn(tensors[0].shape, generator=torch.Generator().manual_seed(2))
    found = compiling("chosen_among_all", tensors=tensors, weights=weights, options={"window": 100})
    assert_within_rounding(found, tensors, weights, {"window": 100})


def test_the_blocks_that_triton_chooses_for_one_query_compute_it(compiling: Worker) -> None:
    tensors = random_inputs(1, 5000, dtype=torch.bfloat16, head_dim=64)
    weights = torch.randn(tensors[0].shape, generator=torch.Generator().manual_seed(2))
    found = compiling("chosen_among_all", tensors=tensors, weights=weights, options={"is_causal": True})
    assert_within_rounding(found, tensors, weights, {"is_causal": True})


def test_the_order_in_which_blocks_run_changes_nothing(compiling: Worker) -> None:
    tensors = random_inputs(1000, 1000, dtype=torch.bfloat16, head_dim=64)
    weights = torch.ones(tensors[0].shape)
    once, again = (
        compiling("attended", tensors=tensors, weights=weights, options={"is_causal": True}) for _ in range(2)
    )
    assert all(torch.equal(one, another) for one, another in zip(once, again, strict=True))
