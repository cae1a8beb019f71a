from typing import Any

import pytest
import torch

Find = Any
SIZES = {"embed_dim": 48, "num_heads": 6, "head_dim": 8}


@pytest.mark.parametrize(
    ("file", "qualname", "contract"),
    [
        ("gpt_style", "CausalSelfAttention", SIZES | {"num_kv_heads": 6, "is_causal": True, "key_mask": False}),
        (
            "gpt_style",
            "Block",
            SIZES
            | {
                "num_kv_heads": 6,
                "is_causal": False,
                "key_mask": False,
                "rows_sum_to_one": True,
                "projections": {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"},
            },
        ),
        ("grouped_rotary", "Attention", SIZES | {"num_kv_heads": 3, "key_mask": True, "rows_sum_to_one": True}),
        (
            "grouped_rotary",
            "TableAttention",
            SIZES
            | {
                "num_kv_heads": 3,
                "is_causal": True,
                "key_mask": False,
                "rotary_base": 10000.0,
                "rotary_layout": "half",
                "projections": {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"},
            },
        ),
        ("masks", "Keep", SIZES | {"num_kv_heads": 6, "key_mask": True, "positions": "none", "rows_sum_to_one": True}),
        ("layouts", "Signal", {"embed_dim": 48, "key_mask": False}),
        (
            "functions",
            "attention",
            {
                "num_heads": 6,
                "num_kv_heads": 6,
                "head_dim": 8,
                "key_mask": True,
                "is_causal": False,
                "rows_sum_to_one": True,
            },
        ),
        (
            "functions",
            "flash_like",
            {
                "num_heads": 6,
                "num_kv_heads": 3,
                "head_dim": 8,
                "key_mask": False,
                "is_causal": True,
                "causal_alignment": "bottom_right",
                "rows_sum_to_one": True,
            },
        ),
        (
            "functions",
            "ScaledDotProductAttention",
            {"num_heads": 6, "num_kv_heads": 6, "head_dim": 8, "key_mask": True, "rows_sum_to_one": True},
        ),
    ],
)
def test_contract(found: Find, file: str, qualname: str, contract: dict[str, object]) -> None:
    assert found(file, qualname).subject()["contract"] == contract


def test_every_inferred_field_says_from_what(found: Find) -> None:
    subject = found("grouped_rotary", "TableAttention").subject()
    assert subject["inferred_from"] == {
        "embed_dim": "width of the inputs that it takes",
        "num_heads": "argument num_attention_heads",
        "num_kv_heads": "argument num_key_value_heads",
        "head_dim": "attribute head_dim",
        "is_causal": "attribute is_causal=True",
        "projections": "conventional names and sizes that fit; nothing else has parameters",
        "rotary_base": "rotate_half in the source, on tables of this base",
    }


TRIANGLE = """
import torch
from torch import nn

class {name}(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x{argument}):
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = q @ k.mT * q.shape[-1] ** -0.5
        {mask}
        return scores.softmax(-1) @ v
"""


@pytest.mark.parametrize(
    ("name", "mask", "argument", "is_causal"),
    [
        ("Attention", "scores = scores + torch.full_like(scores, -1e9).triu(1)", "", True),
        # A defect of the mask remains one: a class that masks nearly all later tokens means to mask them.
        ("Attention", "scores = scores + torch.full_like(scores, -1e9).triu(2)", "", True),
        # `tril` for something else.
        ("Attention", "bias = torch.ones_like(scores).tril(); scores = scores + 0.1 * bias", "", None),
        # Causal by its name, where a mask that has to be passed makes it so.
        ("CausalAttention", "scores = scores if mask is None else scores + mask", ", mask=None", None),
        ("Attention", "pass", "", None),
    ],
)
def test_causality_is_what_source_or_name_say_and_a_trial_does_not_refute(
    written: Find, name: str, mask: str, argument: str, is_causal: bool | None
) -> None:
    each = written(TRIANGLE.format(name=name, mask=mask, argument=argument), name)
    assert each.subject()["contract"].get("is_causal") is is_causal


@pytest.mark.parametrize(
    "odd",
    [
        "scores = scores.tanh()",
        "temperature = 2; scores = scores / temperature",
        "alibi = 1; scores = scores + alibi",
        "v = v + self.v_proj(x + 1).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)",
    ],
)
def test_an_oracle_is_not_promised_where_more_than_softmax_attention_is_written(written: Find, odd: str) -> None:
    source = """
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x):
        layers = self.q_proj, self.k_proj, self.v_proj
        q, k, v = (each(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for each in layers)
        scores = q @ k.mT * q.shape[-1] ** -0.5
        {odd}
        return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
"""
    assert "projections" in written(source.format(odd="pass"), "Attention").subject()["contract"]
    assert "projections" not in written(source.format(odd=odd), "Attention").subject()["contract"]


def test_what_is_built_again_is_what_was_found(found: Find) -> None:
    module = found("grouped_rotary", "TableAttention").callee().module
    again = found("grouped_rotary", "TableAttention").callee().module
    other = found("grouped_rotary", "TableAttention").callee(seed=1).module
    assert module is not None
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(module.parameters()), next(other.parameters()))


def test_what_the_functions_beside_a_class_do_is_read_too(found: Find) -> None:
    assert "projections" in found("helpers", "Plain").subject()["contract"]
    assert "projections" not in found("helpers", "Turned").subject()["contract"]
