"""The stand-in for xformers computes what is documented, against torch's own kernel and masks written out."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.probe.standins import xformers, xformers_biases
from audit.probe.standins.recorded import Record

from .references import close, numbers, reference, written_out

RECORD = Record()
MODULES: dict[str, Any] = xformers.modules(RECORD)
attention: Any = MODULES["xformers.ops"]["memory_efficient_attention"]
biases: dict[str, Any] = MODULES["xformers.ops.fmha.attn_bias"]
LENGTHS = st.integers(1, 6)

# What each class shows to a query at a place, counted from the first query and key or from the last of each.
FROM_THE_FIRST = {"LowerTriangularMask": ((), lambda place, key: key <= place)}
FROM_THE_LAST = {
    "LowerTriangularFromBottomRightMask": ((), lambda place, key: key <= place),
    "LowerTriangularFromBottomRightLocalAttentionMask": ((2,), lambda place, key: place - 2 < key <= place),
    "LocalAttentionFromBottomRightMask": ((2, 1), lambda place, key: place - 2 <= key <= place + 1),
}


@settings(deadline=None, max_examples=40)
@given(LENGTHS, LENGTHS, st.sampled_from([*FROM_THE_FIRST, *FROM_THE_LAST]))
def test_a_class_of_biases_shows_what_its_name_says(queries: int, keys: int, name: str) -> None:
    q, k, v = numbers(2, queries, 3, 4, seed=1), numbers(2, keys, 3, 4, seed=2), numbers(2, keys, 3, 5, seed=3)
    arguments, sees = (FROM_THE_FIRST | FROM_THE_LAST)[name]
    mask = written_out(queries, keys, sees, shift=0 if name in FROM_THE_FIRST else None)
    bias = biases[name](*arguments)
    close(attention(q, k, v, attn_bias=bias), reference(q, k, v, mask=mask))
    assert torch.equal(bias.materialize((queries, keys)), mask.float())


def test_scale_and_bias_are_those_that_are_given() -> None:
    q, k, v = numbers(2, 3, 2, 4, seed=1), numbers(2, 5, 2, 4, seed=2), numbers(2, 5, 2, 4, seed=3)
    close(attention(q, k, v), reference(q, k, v, scale=0.5))
    close(attention(q, k, v, scale=0.3), reference(q, k, v, scale=0.3))
    bias = numbers(2, 2, 3, 5, seed=4)
    close(attention(q, k, v, attn_bias=bias), reference(q, k, v, mask=bias))
    causal = xformers_biases.LowerTriangularMask().add_bias(bias)
    mask = bias + written_out(3, 5, lambda place, key: key <= place, shift=0)
    close(attention(q, k, v, causal), reference(q, k, v, mask=mask))


def test_three_axes_are_one_head_and_five_are_groups() -> None:
    q, k, v = (numbers(2, 3, 4, seed=seed) for seed in (1, 2, 3))
    expected = reference(q[:, :, None], k[:, :, None], v[:, :, None])[:, :, 0]
    close(attention(q, k, v), expected)
    bias = numbers(2, 3, 3, seed=4)
    close(
        attention(q, k, v, attn_bias=bias), reference(*(x[:, :, None] for x in (q, k, v)), mask=bias[:, None])[:, :, 0]
    )
    q = numbers(2, 3, 2, 3, 4, seed=1)
    k, v = (numbers(2, 5, 2, 1, 4, seed=seed).expand(-1, -1, -1, 3, -1) for seed in (2, 3))
    grouped = reference(q.flatten(2, 3), k.flatten(2, 3), v.flatten(2, 3)).unflatten(2, (2, 3))
    close(attention(q, k, v), grouped)


@pytest.mark.parametrize("kind", ["plain", "causal", "from the last", "window", "window from the last"])
def test_blocks_are_attended_to_alone(kind: str) -> None:
    of_q, of_k = [2, 3, 1], [4, 3, 2]
    bias = biases["BlockDiagonalMask"].from_seqlens(of_q, of_k)
    bias = {
        "plain": lambda: bias,
        "causal": bias.make_causal,
        "from the last": bias.make_causal_from_bottomright,
        "window": lambda: bias.make_local_attention(2),
        "window from the last": lambda: bias.make_local_attention_from_bottomright(2),
    }[kind]()
    q, k, v = numbers(1, 6, 2, 4, seed=1), numbers(1, 9, 2, 4, seed=2), numbers(1, 9, 2, 4, seed=3)
    sees = {
        "plain": lambda place, key: True,
        "causal": lambda place, key: key <= place,
        "from the last": lambda place, key: key <= place,
        "window": lambda place, key: place - 2 < key <= place,
        "window from the last": lambda place, key: place - 2 < key <= place,
    }[kind]
    shift = None if "last" in kind else 0
    parts = zip(q.split(of_q, dim=1), k.split(of_k, dim=1), v.split(of_k, dim=1), strict=True)
    alone = [reference(a, b, c, mask=written_out(a.shape[1], b.shape[1], sees, shift=shift)) for a, b, c in parts]
    close(attention(q, k, v, attn_bias=bias), torch.cat(alone, dim=1))


def test_tensors_are_put_behind_one_another_and_split_again() -> None:
    tensors = [numbers(2, 3, 2, 4, seed=1), numbers(1, 5, 2, 4, seed=2)]
    bias, joined = biases["BlockDiagonalMask"].from_tensor_list(tensors)
    assert joined.shape == (1, 11, 2, 4)
    for part, tensor in zip(bias.split(joined), tensors, strict=True):
        assert torch.equal(part, tensor)
    out = bias.split(attention(joined, joined, joined, attn_bias=bias))
    for part, tensor in zip(out, tensors, strict=True):
        close(part, reference(tensor, tensor, tensor))


X = numbers(2, 3, 2, 4, seed=1, dtype=torch.float32)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "bias to be broadcast": ({"attn_bias": torch.zeros(1, 1, 3, 3)}, "Invalid shape for attention bias"),
    "bias of another type": ({"attn_bias": torch.zeros(2, 2, 3, 3, dtype=torch.float16)}, "Invalid dtype"),
    "bool bias": ({"attn_bias": torch.ones(2, 2, 3, 3, dtype=torch.bool)}, "Invalid dtype"),
    "heads that share keys": ({"key": X[:, :, :1], "value": X[:, :, :1]}, "Incompatible shapes"),
    "another type": ({"key": X.half()}, "same dtype"),
    "blocks of a batch": ({"attn_bias": biases["BlockDiagonalMask"].from_seqlens([3])}, "batch_size=1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_library_refuses_is_refused(name: str) -> None:
    given_, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        attention(**{"query": X, "key": X, "value": X} | given_)


def test_calls_are_counted_by_name() -> None:
    record = Record()
    xformers.functions(record)["memory_efficient_attention"](X, X, X)
    assert record.calls == {"xformers.ops.memory_efficient_attention": 1}
    assert record.dtypes == {"float32"}
