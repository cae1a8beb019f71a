"""What is built and called by choices gives what a call by hand gives."""

from typing import Any

import pytest
import torch
from torch import Tensor

Find = Any
CALL: dict[str, object] = {"kind": "forward", "is_causal": False}


def hidden(length: int = 11) -> Tensor:
    return torch.randn(2, length, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("file", "qualname", "by_hand"),
    [
        ("gpt_style", "Block", lambda m, x: m(x)[0]),
        ("gpt_style", "CausalSelfAttention", lambda m, x: m(x)),
        ("layouts", "SequenceFirst", lambda m, x: m(x.transpose(0, 1)).transpose(0, 1)),
        ("layouts", "Image", lambda m, x: m(x.mT.reshape(2, 48, 3, 4)).flatten(2).mT),
        ("layouts", "Volume", lambda m, x: m(x.mT.reshape(2, 48, 1, 3, 4)).flatten(2).mT),
        ("layouts", "Signal", lambda m, x: m(x.mT).mT),
        ("layouts", "Flattened", lambda m, x: m(x, 3, 4)),
        ("layouts", "OfDict", lambda m, x: m({"tokens": x, "mask": torch.ones(2, 12, dtype=torch.bool)})["tokens"]),
        ("options", "LinearAttention", lambda m, x: m(x)["output"]),
        ("functions", "MultiHead", lambda m, x: m(x, x, x)),
        ("packed", "Packed", lambda m, x: m(x.flatten(0, 1), torch.tensor([0, 12, 24])).unflatten(0, (2, 12))),
    ],
)
def test_a_module_gets_its_own_layout_and_answers_in_the_canonical_one(
    found: Find, file: str, qualname: str, by_hand: Any
) -> None:
    callee = found(file, qualname).callee()
    x = hidden(12)
    with torch.no_grad():
        output = callee.call({"hidden_states": x, "key_mask": None}, CALL)
        expected = by_hand(callee.module, x)
    assert output.shape == (2, 12, 48)
    assert torch.equal(output, expected)


@pytest.mark.parametrize("qualname", ["Keep", "Drop", "DocumentedDrop", "Added", "Required"])
def test_a_mask_hides_the_keys_that_may_not_be_attended_to(found: Find, qualname: str) -> None:
    callee = found("masks", qualname).callee()
    mask = torch.ones(2, 11, dtype=torch.bool)
    mask[0, 8:] = False
    x = hidden()
    other = x.clone()
    other[0, 8:] = 5.0
    with torch.no_grad():
        before, after = (callee.call({"hidden_states": each, "key_mask": mask}, CALL) for each in (x, other))
        shown = callee.call({"hidden_states": x, "key_mask": None}, CALL)
    torch.testing.assert_close(after[0, :8], before[0, :8])
    torch.testing.assert_close(shown[1], before[1])
    assert not torch.allclose(shown[0, :8], before[0, :8], atol=1e-3)


def test_a_mask_that_is_ignored_is_passed_all_the_same(found: Find) -> None:
    callee = found("masks", "Ignored").callee()
    mask = torch.ones(2, 11, dtype=torch.bool)
    mask[0, 8:] = False
    with torch.no_grad():
        with_mask = callee.call({"hidden_states": hidden(), "key_mask": mask}, CALL)
        without = callee.call({"hidden_states": hidden(), "key_mask": None}, CALL)
    assert torch.equal(with_mask, without)


OVERWRITES = """
from torch import nn

class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x, mask=None):
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = q @ k.mT * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill({hides}, float("-inf"))
            {overwrites}
        return scores.softmax(-1) @ v
"""


@pytest.mark.parametrize("hides", ["~mask[:, None]", "mask[:, None]", "mask[:, None] == 0"])
@pytest.mark.parametrize(("overwrites", "changed"), [("mask.zero_()", True), ("mask = mask * 1", False)])
def test_a_mask_that_is_overwritten_shows_in_whatever_form_it_was_given(
    written: Find, hides: str, overwrites: str, changed: bool
) -> None:
    found = written(OVERWRITES.format(hides=hides, overwrites=overwrites), "Attention")
    assert "is written as" in found.subject()["inferred_from"]["key_mask"]
    mask = torch.ones(2, 11, dtype=torch.bool)
    mask[0, 8:] = False
    given = mask.clone()
    found.callee().call({"hidden_states": hidden(), "key_mask": given}, CALL)
    assert torch.equal(given, mask) is not changed


@pytest.mark.parametrize(("overwrites", "changed"), [("x.zero_()", True), ("x = x * 1", False)])
def test_an_input_that_is_overwritten_shows_past_its_layout(written: Find, overwrites: str, changed: bool) -> None:
    source = f"""
from torch import nn

class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)

    def forward(self, x):
        b, c, n = x.shape
        q, k, v = self.qkv(x).mT.chunk(3, -1)
        {overwrites}
        return nn.functional.scaled_dot_product_attention(q, k, v).mT
"""
    given = hidden()
    with torch.no_grad():
        written(source, "Attention").callee().call({"hidden_states": given, "key_mask": None}, CALL)
    assert torch.equal(given, hidden()) is not changed


def test_a_context_goes_where_it_belongs(found: Find) -> None:
    callee = found("dim_heads", "CrossAttention").callee()
    context = torch.randn(2, 7, 40)
    with torch.no_grad():
        output = callee.call({"hidden_states": hidden(), "context": context, "key_mask": None}, CALL)
        assert callee.module is not None
        assert torch.equal(output, callee.module(hidden(), context))


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_function_gets_its_own_layout_and_its_causal_switch(found: Find, is_causal: bool) -> None:
    callee = found("functions", "flash_like").callee()
    assert callee.module is None
    assert callee.identity == {"class": None, "parameters": None}
    query, key = torch.randn(2, 6, 5, 8), torch.randn(2, 3, 11, 8)
    keep = torch.ones(5, 11, dtype=torch.bool).tril(6) if is_causal else None
    output = callee.call(
        {"query": query, "key": key, "value": key, "mask": None}, {"kind": "forward", "is_causal": is_causal}
    )
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, key, attn_mask=keep, enable_gqa=True)
    torch.testing.assert_close(output, expected)


def test_packed_sequences_stay_apart(found: Find) -> None:
    callee = found("packed", "varlen").callee()
    query, key = torch.randn(2, 6, 5, 8), torch.randn(2, 6, 11, 8)
    output = callee.call({"query": query, "key": key, "value": key, "mask": None}, CALL)
    torch.testing.assert_close(output, torch.nn.functional.scaled_dot_product_attention(query, key, key))


def test_a_module_without_layers_is_called_as_the_function_that_it_is(found: Find) -> None:
    callee = found("functions", "ScaledDotProductAttention").callee()
    assert callee.module is None
    query, key = torch.randn(2, 6, 5, 8), torch.randn(2, 6, 11, 8)
    mask = torch.ones(2, 1, 1, 11, dtype=torch.bool)
    mask[0, ..., 8:] = False
    output = callee.call({"query": query, "key": key, "value": key, "mask": mask}, CALL)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, key, attn_mask=mask, scale=1.0)
    torch.testing.assert_close(output, expected)


def test_what_has_no_cache_is_not_decoded(found: Find) -> None:
    callee = found("gpt_style", "CausalSelfAttention").callee()
    with pytest.raises(NotImplementedError, match="no call form of a cache"):
        callee.call({"hidden_states": hidden(), "key_mask": None}, {"kind": "decode", "chunks": [11]})
