"""The stand-ins for flash attention compute what is documented, against torch's own kernel and masks written out."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from audit.probe.standins import flash, flash3, flash_padding
from audit.probe.standins.recorded import Record

from .references import close, numbers, reference, written_out

EXACT = Record(accepts_float32=True)
FLASH: dict[str, Any] = dict(flash.functions(EXACT))
THIRD: dict[str, Any] = dict(flash3.functions(EXACT))
LENGTHS = st.integers(1, 7)


def qkv(batch: int, queries: int, keys: int, heads: int, groups: int, dim: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    return (
        numbers(batch, queries, heads, dim, seed=1),
        numbers(batch, keys, groups, dim, seed=2),
        numbers(batch, keys, groups, dim, seed=3),
    )


def seen(causal: bool, left: int, right: int) -> Callable[[int, int], bool]:
    def sees(place: int, key: int) -> bool:
        if causal and key > place:
            return False
        return not (left >= 0 and key < place - left) and not (right >= 0 and key > place + right)

    return sees


@settings(deadline=None, max_examples=60)
@given(
    LENGTHS,
    LENGTHS,
    st.sampled_from([(1, 1), (4, 2), (6, 1), (3, 3)]),
    st.booleans(),
    st.integers(-1, 3),
    st.integers(-1, 3),
)
def test_dense_attention_is_that_of_torch_under_the_written_out_mask(
    queries: int, keys: int, heads: tuple[int, int], causal: bool, left: int, right: int
) -> None:
    q, k, v = qkv(2, queries, keys, *heads)
    mask = written_out(queries, keys, seen(causal, left, right))
    expected = reference(q, k, v, mask=mask)
    for functions in (FLASH, THIRD):
        close(functions["flash_attn_func"](q, k, v, causal=causal, window_size=(left, right)), expected)


def test_the_default_scale_is_that_of_the_head() -> None:
    q, k, v = qkv(2, 3, 5, 4, 2)
    close(FLASH["flash_attn_func"](q, k, v), reference(q, k, v, scale=1 / math.sqrt(6)))
    close(FLASH["flash_attn_func"](q, k, v, softmax_scale=0.7), reference(q, k, v, scale=0.7))


def test_causal_is_aligned_with_the_last_query_and_the_last_key() -> None:
    q, k, v = qkv(1, 2, 5, 1, 1)
    out = FLASH["flash_attn_func"](q, k, v, causal=True)
    close(out[:, :1], reference(q[:, :1], k[:, :4], v[:, :4]))
    q, k, v = qkv(1, 5, 2, 1, 1)
    out = FLASH["flash_attn_func"](q, k, v, causal=True)
    assert not out[:, :3].any()
    close(out[:, 3], v[:, 0])


def test_a_window_counts_the_keys_beside_the_query() -> None:
    q, k, v = qkv(1, 6, 6, 1, 1)
    out = FLASH["flash_attn_func"](q, k, v, causal=True, window_size=(2, 0))
    for place in range(6):
        rows = slice(max(0, place - 2), place + 1)  # 2 to the left and its own
        close(out[:, place : place + 1], reference(q[:, place : place + 1], k[:, rows], v[:, rows]))


@pytest.mark.parametrize("slopes", [numbers(4, seed=5).abs(), numbers(2, 4, seed=5).abs()], ids=["H", "BH"])
def test_slopes_are_multiplied_by_the_distance(slopes: Tensor) -> None:
    q, k, v = qkv(2, 3, 5, 4, 2)
    distance = torch.tensor([[abs(i + 5 - 3 - j) for j in range(5)] for i in range(3)])
    bias = -slopes.expand(2, 4)[:, :, None, None] * distance
    close(FLASH["flash_attn_func"](q, k, v, alibi_slopes=slopes), reference(q, k, v, mask=bias))


def test_the_cap_comes_after_the_scale_and_before_the_mask() -> None:
    q, k, v = qkv(2, 4, 4, 1, 1)
    scores = 1.5 * torch.tanh(torch.einsum("bihd,bjhd->bhij", q, k) * 6**-0.5 / 1.5)
    weights = (scores + written_out(4, 4, seen(True, -1, -1))).softmax(dim=-1)
    expected = torch.einsum("bhij,bjhd->bihd", weights, v)
    for functions in (FLASH, THIRD):
        close(functions["flash_attn_func"](q, k, v, causal=True, softcap=1.5), expected)


def test_packed_projections_are_split_along_their_axis() -> None:
    q, k, v = qkv(2, 5, 5, 3, 3)
    expected = reference(q, k, v)
    close(FLASH["flash_attn_qkvpacked_func"](torch.stack((q, k, v), dim=2)), expected)
    close(FLASH["flash_attn_kvpacked_func"](q, torch.stack((k, v), dim=2)), expected)


def starts(lengths: list[int]) -> Tensor:
    return torch.tensor([sum(lengths[:index]) for index in range(len(lengths) + 1)], dtype=torch.int32)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(LENGTHS, LENGTHS), min_size=1, max_size=4), st.booleans(), st.integers(-1, 2))
def test_each_packed_sequence_is_attended_to_alone(lengths: list[tuple[int, int]], causal: bool, left: int) -> None:
    of_q, of_k = ([pair[axis] for pair in lengths] for axis in (0, 1))
    q, k, v = (each[0] for each in qkv(1, sum(of_q), sum(of_k), 4, 2))
    for functions in (FLASH, THIRD):
        out = functions["flash_attn_varlen_func"](
            q, k, v, starts(of_q), starts(of_k), max(of_q), max(of_k), causal=causal, window_size=(left, -1)
        )
        parts = zip(q.split(of_q), k.split(of_k), v.split(of_k), strict=True)
        alone = [
            reference(a[None], b[None], c[None], mask=written_out(len(a), len(b), seen(causal, left, -1)))[0]
            for a, b, c in parts
        ]
        close(out, torch.cat(alone))


def test_packed_sequences_with_packed_projections() -> None:
    lengths = [2, 3]
    q, k, v = (each[0] for each in qkv(1, 5, 5, 2, 2))
    expected = FLASH["flash_attn_varlen_func"](q, k, v, starts(lengths), starts(lengths), 3, 3)
    kv = torch.stack((k, v), dim=1)
    close(FLASH["flash_attn_varlen_kvpacked_func"](q, kv, starts(lengths), starts(lengths), 3, 3), expected)
    close(FLASH["flash_attn_varlen_qkvpacked_func"](torch.stack((q, k, v), dim=1), starts(lengths), 3), expected)


def test_rows_that_the_library_leaves_uninitialised_are_nan() -> None:
    q, k, v = (each[0] for each in qkv(1, 6, 6, 2, 2))
    out = FLASH["flash_attn_varlen_func"](q, k, v, starts([2, 2]), starts([2, 2]), 2, 2)
    assert out[4:].isnan().all()
    assert not out[:4].isnan().any()
    short = FLASH["flash_attn_varlen_func"](q, k, v, starts([4, 2]), starts([4, 2]), 3, 4)
    assert short[3].isnan().all()  # behind max_seqlen_q
    assert not short[[0, 1, 2, 4, 5]].isnan().any()


def turned(x: Tensor, first: int, *, interleaved: bool, base: float = 100.0) -> Tensor:
    """Rotary positions by complex numbers: (L, H, D)."""
    half = x.shape[-1] // 2
    angles = (first + torch.arange(x.shape[0]))[:, None] * base ** (-torch.arange(half).double() / half)
    pairs = x.unflatten(-1, (half, 2)) if interleaved else x.unflatten(-1, (2, half)).transpose(-1, -2)
    spun = torch.view_as_real(
        torch.view_as_complex(pairs.contiguous())
        * torch.polar(torch.ones_like(angles).double(), angles.double())[:, None]
    )
    return spun.flatten(-2) if interleaved else spun.transpose(-1, -2).flatten(-2)


def tables(length: int, half: int, base: float = 100.0) -> tuple[Tensor, Tensor]:
    angles = torch.arange(length)[:, None] * base ** (-torch.arange(half).double() / half)
    return angles.cos().double(), angles.sin().double()


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", ["second", "third"])
def test_new_keys_are_appended_to_the_cache_and_rotated(interleaved: bool, causal: bool, name: str) -> None:
    q, k, v = qkv(2, 3, 3, 2, 1)
    held = [2, 4]
    keys, values = numbers(2, 9, 1, 6, seed=6), numbers(2, 9, 1, 6, seed=7)
    cache_k, cache_v = keys.clone(), values.clone()
    cos, sin = tables(9, 3)
    out = (FLASH if name == "second" else THIRD)["flash_attn_with_kvcache"](
        q, cache_k, cache_v, k, v, rotary_cos=cos, rotary_sin=sin,
        cache_seqlens=torch.tensor(held, dtype=torch.int32), causal=causal, rotary_interleaved=interleaved,
    )  # fmt: skip
    for sample, before in enumerate(held):
        new = turned(k[sample], before, interleaved=interleaved)
        # Without a causal mask all queries count as being at the first new position.
        rows = range(3) if causal else [0, 0, 0]
        spun = torch.cat(
            [turned(q[sample, i : i + 1], before + row, interleaved=interleaved) for i, row in enumerate(rows)]
        )
        whole_k = torch.cat((keys[sample, :before], new))[None]
        whole_v = torch.cat((values[sample, :before], v[sample]))[None]
        mask = written_out(3, before + 3, seen(causal, -1, -1))
        close(out[sample : sample + 1], reference(spun[None], whole_k, whole_v, mask=mask))
        torch.testing.assert_close(cache_k[sample, before : before + 3], new)
        torch.testing.assert_close(cache_v[sample, before : before + 3], v[sample])
        assert torch.equal(cache_k[sample, before + 3 :], keys[sample, before + 3 :])


def test_a_cache_may_be_longer_than_what_it_holds_start_later_and_lie_in_pages() -> None:
    q, keys, values = qkv(2, 1, 8, 2, 1)
    function = FLASH["flash_attn_with_kvcache"]
    held = torch.tensor([3, 5], dtype=torch.int32)
    out = function(q, keys, values, cache_seqlens=held)
    for sample, length in enumerate(held.tolist()):
        own = slice(sample, sample + 1)
        close(out[own], reference(q[own], keys[own, :length], values[own, :length]))
    padded = function(q, keys, values, cache_seqlens=held, cache_leftpad=torch.tensor([1, 2], dtype=torch.int32))
    close(padded[:1], reference(q[:1], keys[:1, 1:3], values[:1, 1:3]))
    swapped = function(q, keys, values, cache_seqlens=4, cache_batch_idx=torch.tensor([1, 0], dtype=torch.int32))
    close(swapped, reference(q, keys.flip(0)[:, :4], values.flip(0)[:, :4]))
    pages = torch.tensor([[3, 0], [1, 2]], dtype=torch.int32)
    in_pages = [torch.empty(4, 4, 1, 6, dtype=torch.float64) for _ in range(2)]
    for held_by, whole in zip(in_pages, (keys, values), strict=True):
        held_by[pages.long()] = whole.unflatten(1, (2, 4))
    close(function(q, *in_pages, cache_seqlens=held, block_table=pages), out)
    close(function(q, keys, values), reference(q, keys, values))


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotary_positions_begin_at_the_offset(interleaved: bool) -> None:
    apply: Any = flash_padding.rotary(EXACT)["apply_rotary_emb"]
    x = numbers(2, 4, 3, 6, seed=1)
    cos, sin = tables(9, 3)
    out = apply(x, cos, sin, interleaved=interleaved, seqlen_offsets=torch.tensor([0, 5]))
    for sample, first in enumerate((0, 5)):
        torch.testing.assert_close(out[sample], turned(x[sample], first, interleaved=interleaved))
    part = apply(x, cos[:, :2], sin[:, :2])
    assert torch.equal(part[..., 4:], x[..., 4:])
    behind = apply(x.flatten(0, 1), cos, sin, interleaved=interleaved, cu_seqlens=starts([4, 4]), max_seqlen=4)
    torch.testing.assert_close(behind[4:], turned(x[1], 0, interleaved=interleaved))
    assert apply(x, cos, sin, inplace=True) is x


def test_padding_is_taken_out_and_put_back() -> None:
    x = numbers(2, 4, 3, seed=1)
    mask = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]])
    rows, places, begins, longest, used = flash_padding.unpad_input(x, mask)
    assert begins.tolist() == [0, 2, 5]
    assert begins.dtype == torch.int32
    assert longest == 3
    assert used.tolist() == [2, 3]
    back = flash_padding.pad_input(rows, places, 2, 4)
    assert torch.equal(back, x * mask[..., None])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_differs_by_the_rounding_of_the_result(dtype: torch.dtype) -> None:
    q, k, v = (each.to(dtype) for each in qkv(2, 5, 7, 4, 2))
    out = flash.functions(Record())["flash_attn_func"](q, k, v, causal=True)
    assert isinstance(out, Tensor)
    close(out, reference(q, k, v, mask=written_out(5, 7, seen(True, -1, -1))), dtype=dtype)


def half(*shape: int) -> Tensor:
    return numbers(*shape, seed=1, dtype=torch.bfloat16)


REFUSED: dict[str, tuple[list[Tensor], dict[str, object], str]] = {
    "float32": ([half(1, 2, 2, 8).float()] * 3, {}, "only support fp16 and bf16"),
    "mixed dtypes": ([half(1, 2, 2, 8), half(1, 2, 2, 8).half(), half(1, 2, 2, 8)], {}, "same dtype"),
    "wide heads": ([half(1, 2, 2, 264)] * 3, {}, "at most 256"),
    "heads that do not divide": ([half(1, 2, 4, 8), half(1, 2, 3, 8), half(1, 2, 3, 8)], {}, "must divide"),
    "three axes": ([half(2, 2, 8)] * 3, {}, "batch_size, seqlen_q"),
    "other batch": ([half(2, 2, 2, 8), half(1, 2, 2, 8), half(1, 2, 2, 8)], {}, "k must have shape"),
    "other length of values": ([half(1, 2, 2, 8), half(1, 3, 2, 8), half(1, 2, 2, 8)], {}, "v must have shape"),
    "cap with dropout": ([half(1, 2, 2, 8)] * 3, {"softcap": 1.0, "dropout_p": 0.1}, "does not support dropout"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_library_refuses_is_refused(name: str) -> None:
    tensors, options, message = REFUSED[name]
    record = Record()
    with pytest.raises(RuntimeError, match=message):
        flash.functions(record)["flash_attn_func"](*tensors, **options)
    assert record.calls == {"flash_attn.flash_attn_func": 1}
    assert message in record.refused[0]


def test_beginnings_of_another_type_are_refused() -> None:
    q = half(4, 2, 8)
    with pytest.raises(RuntimeError, match="must have dtype int32"):
        flash.functions(Record())["flash_attn_varlen_func"](q, q, q, torch.tensor([0, 4]), torch.tensor([0, 4]), 4, 4)
    beyond = torch.tensor([0, 9], dtype=torch.int32)
    with pytest.raises(RuntimeError, match="leaves the 4 rows"):
        flash.functions(Record())["flash_attn_varlen_func"](q, q, q, beyond, beyond, 9, 9)


def test_the_log_of_the_sums_is_returned_where_it_is_asked_for() -> None:
    q, k, v = qkv(2, 3, 5, 2, 2)
    out, sums, dropped = FLASH["flash_attn_func"](q, k, v, return_attn_probs=True)
    expected = (torch.einsum("bihd,bjhd->bhij", q, k) * 6**-0.5).logsumexp(dim=-1)
    torch.testing.assert_close(sums, expected.float())
    assert dropped is None
    assert out.shape == q.shape


def test_gradients_are_those_of_torch() -> None:
    tensors = [each.requires_grad_() for each in qkv(2, 3, 5, 2, 1)]
    mask = written_out(3, 5, seen(True, -1, -1))
    own = torch.autograd.grad(FLASH["flash_attn_func"](*tensors, causal=True).sin().sum(), tensors)
    expected = torch.autograd.grad(reference(*tensors, mask=mask).sin().sum(), tensors)
    for found, wanted in zip(own, expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_query_that_sees_nothing_has_a_finite_gradient() -> None:
    tensors = [each.requires_grad_() for each in qkv(1, 5, 2, 1, 1)]
    for gradient in torch.autograd.grad(FLASH["flash_attn_func"](*tensors, causal=True).sum(), tensors):
        assert gradient.isfinite().all()


def test_what_the_third_version_has_more_is_not_judged() -> None:
    q = half(1, 2, 2, 8)
    with pytest.raises(NotImplementedError, match="attention_chunk"):
        flash3.functions(Record())["flash_attn_func"](q, q, q, attention_chunk=4)
    with pytest.raises(TypeError, match="dropout_p"):
        flash3.functions(Record())["flash_attn_func"](q, q, q, dropout_p=0.1)
