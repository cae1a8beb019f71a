from typing import Any

import pytest
import torch

from audit.probe.guess.masks import CONVENTIONS, form_of

Find = Any


@pytest.mark.parametrize(
    ("file", "qualname", "layout", "call"),
    [
        ("gpt_style", "Block", "BLC", "module(hidden_states=hidden_states)[0]"),
        ("layouts", "SequenceFirst", "LBC", "module(src=hidden_states)"),
        ("layouts", "Unsaid", "LBC", "module(src=hidden_states)"),
        ("layouts", "Image", "BCHW", "module(x=hidden_states)"),
        ("layouts", "Volume", "BCTHW", "module(x=hidden_states)"),
        ("layouts", "Signal", "BCL", "module(x=hidden_states)"),
        ("layouts", "Flattened", "BLC", "module(x=hidden_states, H=height, W=width)"),
        ("layouts", "OfDict", "BLC", "module(batch={'tokens': hidden_states, 'mask': key_mask})['tokens']"),
        ("options", "LinearAttention", "BLC", "module(x=hidden_states)['output']"),
        (
            "grouped_rotary",
            "Attention",
            "BLC",
            "module(x=hidden_states, start_pos=0, freqs_cis=rope_complex, mask=key_mask)",
        ),
        (
            "grouped_rotary",
            "TableAttention",
            "BLC",
            "module(hidden_states=hidden_states, position_embeddings=rope_pair)",
        ),
        ("functions", "attention", "BhLD", "attention(query=query, key=key, value=value, mask=key_mask)[0]"),
        ("functions", "flash_like", "BLhD", "flash_like(q=query, k=key, v=value, causal=is_causal)"),
        (
            "functions",
            "numbers_given",
            "BLC",
            f"numbers_given(q=query, k=key, v=value, num_heads=6, scale={8**-0.5}, dropout_p=0.0)",
        ),
        ("functions", "ScaledDotProductAttention", "BhLD", "module(q=query, k=key, v=value, mask=key_mask)[0]"),
        ("functions", "MultiHead", "BLC", "module(q=hidden_states, k=context, v=context, mask=key_mask)"),
        ("unloadable", "Attention", "BLC", "module(x=hidden_states)"),
        ("packed", "Packed", "(BL)C", "module(hidden_states=hidden_states, cu_seqlens=packed)"),
        (
            "packed",
            "varlen",
            "(BL)hD",
            "varlen(q=query, k=key, v=value, cu_seqlens_q=packed, cu_seqlens_k=packed_k, max_seqlen_q=longest, "
            "max_seqlen_k=longest_k)",
        ),
    ],
)
def test_layout_and_call(found: Find, file: str, qualname: str, layout: str, call: str) -> None:
    each = found(file, qualname)
    assert each.subject()["call"] == call
    assert each.form()["layout"] == layout


@pytest.mark.parametrize(
    ("qualname", "convention", "shape", "why"),
    [
        ("Keep", "int keep", "BL", "mask is written as int keep"),
        ("Drop", "bool drop", "BL", "key_padding_mask is documented as bool drop"),
        ("CausalKeep", "bool keep", "BL", "mask is written as bool keep, BL"),
        ("DocumentedDrop", "bool drop", "BL", "mask is documented as bool drop"),
        ("Contradicts", "bool keep", "BL", "it did not hide keys in a trial"),
        ("Added", "additive", "B11L", "attention_mask is written as additive"),
        ("Ignored", "bool keep", "BL", "mask is usually bool keep; it did not hide keys in a trial"),
        ("Required", "int keep", "B1L", "mask is written as int keep"),
    ],
)
def test_the_mask_is_the_documented_one_or_the_one_that_hides(
    found: Find, qualname: str, convention: str, shape: str, why: str
) -> None:
    each = found("masks", qualname)
    assert each.form()["mask"] == {
        "parameter": each.form()["mask"]["parameter"],
        "convention": convention,
        "shape": shape,
    }
    assert each.subject()["contract"]["key_mask"] is True
    assert why in each.subject()["inferred_from"]["key_mask"]


def test_a_mask_of_unknown_convention_is_the_one_that_hides(written: Find) -> None:
    source = """
from torch import nn

def hide(scores, flags):
    return scores - 1e9 * flags[:, None, None].to(scores.dtype)

class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x, mask=None):
        q, k, v = (each[:, None] for each in self.qkv(x).chunk(3, -1))
        scores = q @ k.mT * q.shape[-1] ** -0.5
        scores = scores if mask is None else hide(scores, mask)
        return (scores.softmax(-1) @ v)[:, 0]
"""
    each = written(source, "Attention")
    assert each.form()["mask"]["convention"].endswith("drop")
    assert "found to be" in each.subject()["inferred_from"]["key_mask"]


CONVOLVED = """
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.near = nn.{layer}

    def forward(self, x, mask=None):
        q, k, v = self.qkv(x).chunk(3, -1)
        v = self.near(v.mT).mT
        scores = q @ k.mT * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], float("-inf"))
        return scores.softmax(-1) @ v
"""


@pytest.mark.parametrize(("layer", "key_mask"), [("Identity()", True), ("Conv1d(dim, dim, 3, padding=1)", False)])
def test_a_mask_is_not_promised_to_hide_what_a_convolution_spreads(written: Find, layer: str, key_mask: bool) -> None:
    assert written(CONVOLVED.format(layer=layer), "Attention").subject()["contract"]["key_mask"] is key_mask


def test_a_causal_layer_has_its_mask_judged_by_the_keys_that_it_sees(found: Find) -> None:
    assert found("dim_heads", "Attention").form("causal=True")["mask"]["convention"] == "bool keep"


def test_a_context_is_another_subject_or_part_of_the_only_one(found: Find) -> None:
    assert found("dim_heads", "Attention").subject("cross")["contract"]["context_dim"] == 48
    only = found("dim_heads", "CrossAttention")
    assert only.names == [""]
    assert only.subject()["contract"]["context_dim"] == 40
    assert found("functions", "MultiHead").names == ["", "cross"]


def test_lengths_that_cannot_be_called_are_told(found: Find) -> None:
    assert found("layouts", "Window").subject()["lengths"] == [11]
    assert found("layouts", "Image").subject()["lengths"] == [11, 5, 12, 22, 1]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_each_convention_says_the_same_of_a_mask(convention: str) -> None:
    kept = torch.tensor([[True, True, False]])
    form = form_of(kept, convention, "B11L", queries=4, heads=2, dtype=torch.float32)
    assert form.shape == (1, 1, 1, 3)
    values = form[0, 0, 0].tolist()
    expected = {"bool keep": [True, True, False], "int keep": [1, 1, 0], "bool drop": [False, False, True]}
    if convention in expected:
        assert values == expected[convention]
    assert values[0] == values[1] != values[2]
