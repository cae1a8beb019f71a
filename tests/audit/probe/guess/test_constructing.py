from typing import Any

import pytest

Find = Any


@pytest.mark.parametrize(
    ("file", "qualname", "arguments"),
    [
        ("gpt_style", "CausalSelfAttention", {"config": "GPTConfig(block_size=64, n_head=6, n_embd=48, dropout=0.0)"}),
        (
            "gpt_style",
            "Block",
            {"cfg": "SimpleNamespace(model=SimpleNamespace(num_heads=6, d_model=48), attn_dropout=0.0)"},
        ),
        ("dim_heads", "Attention", {"dim": "48", "heads": "6", "dim_head": "8"}),
        ("dim_heads", "CrossAttention", {"query_dim": "48", "context_dim": "40", "num_heads": "6"}),
        ("grouped_rotary", "Attention", {"args": "ModelArgs(dim=48, n_heads=6, n_kv_heads=3, max_seq_len=64)"}),
        (
            "grouped_rotary",
            "TableAttention",
            {"hidden_size": "48", "num_attention_heads": "6", "num_key_value_heads": "3"},
        ),
        ("layouts", "Window", {"dim": "48", "window_size": "(1, 11)", "num_heads": "6"}),
        ("options", "LinearAttention", {"dim": "48", "num_heads": "6", "nb_features": "10"}),
    ],
)
def test_arguments_come_from_names_defaults_and_configurations(
    found: Find, file: str, qualname: str, arguments: dict[str, str]
) -> None:
    assert found(file, qualname).subject()["arguments"] == arguments


def test_every_option_in_words_is_a_subject_of_its_own(found: Find) -> None:
    linear = found("options", "LinearAttention")
    assert linear.names == ["", "linear_type=performer", "linear_type=relu"]
    assert linear.subject("linear_type=performer")["arguments"]["linear_type"] == "'performer'"
    assert found("options", "Chosen").names == ["", "mode=local"]


def test_an_option_that_cannot_be_built_is_told_with_its_line(found: Find) -> None:
    reason = found("options", "LinearAttention").reply["not_built"]["linear_type=linformer"]
    assert "NotImplementedError: linformer is not ready (options.py:" in reason


def test_a_causal_switch_is_a_subject_of_its_own(found: Find) -> None:
    attention = found("dim_heads", "Attention")
    assert attention.names == ["", "causal=True", "cross"]
    assert attention.subject()["contract"]["is_causal"] is False
    assert attention.subject("causal=True")["contract"]["is_causal"] is True


def test_sizes_change_until_the_class_accepts_them(written: Find) -> None:
    source = """
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        assert dim % 32 == 0, "dim must be a multiple of 32"
        self.num_heads, self.qkv = num_heads, nn.Linear(dim, 3 * dim)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
"""
    assert written(source, "Attention").subject()["arguments"] == {"dim": "64", "num_heads": "4"}


@pytest.mark.parametrize(
    ("qualname", "problem"),
    [
        ("NeedsIt", "NeedsIt(dim=48) cannot be built: NameError: name 'a_library_that_nobody_has' is not defined"),
        ("AsksTooMuch", "AttributeError: 'int' object has no attribute 'consult' (unloadable.py:"),
        ("Crashes", "Crashes(dim=48) cannot be called: IndexError: index 5000 is out of bounds"),
        ("GetsQueryFromText", "GetsQueryFromText(dim=48) cannot be called: "),
        ("split", "split does not take query, key and value by these names"),
        ("HEADS", "HEADS is neither a class nor a function"),
        ("Absent", "cannot load Absent: "),
    ],
)
def test_what_cannot_be_found_says_what_failed_and_where(found: Find, qualname: str, problem: str) -> None:
    reply = found("unloadable", qualname).reply
    assert problem in reply["problem"]
    assert "\n" not in reply["problem"]
    assert reply["subjects"] == []
