"""A guess that is not one is no subject: what fits only by chance is refused with its reason."""

from typing import Any

import pytest

Find = Any

CORE = """
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention as attend

"""
PROCESSED = (
    CORE
    + """
class FirstProcessor:
    def __call__(self, attn, x):
        q, k, v = attn.qkv(x).chunk(3, -1)
        return attend(q, k, v)

class NormProcessor:
    def __call__(self, attn, x):
        q, k, v = attn.qkv(x).chunk(3, -1)
        return attend(attn.norm(q), attn.norm(k), v)

class Attention(nn.Module):
    def __init__(self, dim, qk_norm=None, processor={default}):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.processor = processor
        if qk_norm == "layer":
            self.norm = nn.LayerNorm(dim)
        elif qk_norm == "half":
            self.norm = nn.LayerNorm(dim // 2)
        elif qk_norm is not None:
            raise ValueError(qk_norm)
        if self.processor is None:
            {unset}

    def forward(self, x):
        return self.processor(self, x)
"""
)


def test_a_processor_of_its_module_is_given_where_none_is_none(written: Find) -> None:
    found = written(PROCESSED.format(default="None", unset="pass"), "Attention")
    assert found.subject()["arguments"] == {"dim": "48", "processor": "FirstProcessor()"}


def test_an_option_does_not_get_another_processor_than_the_usual_way(written: Find) -> None:
    chosen = "self.processor = FirstProcessor() if qk_norm is None else NormProcessor()"
    found = written(PROCESSED.format(default="None", unset=chosen), "Attention")
    assert found.names == ["", "qk_norm=layer"]
    assert found.subject("qk_norm=layer")["arguments"] == {"dim": "48", "qk_norm": "'layer'"}
    assert "expected input with shape" in found.reply["not_built"]["qk_norm=half"]


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        # Queries of its own, which a call may replace: what it gives back is theirs, not the input's.
        (
            "def forward(self, context, queries=None):\n"
            "        queries = self.own.expand(len(context), -1, -1) if queries is None else queries\n"
            "        return attend(queries, self.qkv(context)[..., :48], context)",
            "returned a tensor of shape (2, 3, 48), and no tensor begins with batch and positions (2, 11)",
        ),
        (
            "def forward(self, x):\n        return attend(*self.qkv(x).chunk(3, -1))[..., :7]",
            "its input has 48 channels and its output 7",
        ),
        (
            "def forward(self, x, summary):\n"
            "        b, n, c = x.shape\n"
            "        return x * 0 + attend(summary, x, x).mean(1, keepdim=True) + summary",
            "cannot be called",
        ),
        (
            "def forward(self, x):\n        return x / 0",
            "the output of a normal input is not finite",
        ),
    ],
)
def test_an_output_that_is_not_one_for_each_position_is_told(written: Find, forward: str, said: str) -> None:
    source = f"""{CORE}
class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.own = nn.Parameter(torch.randn(3, dim))

    {forward}
"""
    found = written(source, "Attention")
    assert found.reply["subjects"] == []
    assert said in found.reply["problem"]


def test_a_context_that_moves_nothing_is_no_subject(written: Find) -> None:
    source = f"""{CORE}
class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x, encoder_hidden_states=None):
        q, k, v = self.qkv(x).chunk(3, -1)
        return attend(q, k, v)
"""
    assert written(source, "Attention").names == [""]


@pytest.mark.parametrize(("name", "default"), [("dim", 7), ("query_dim", 512), ("hidden_size", 768)])
def test_an_attribute_with_a_large_default_gets_a_small_size(written: Find, name: str, default: int) -> None:
    source = f"""{CORE}
class Attention(nn.Module):
    def __init__(self, {name}={default}):
        super().__init__()
        self.qkv = nn.Linear({name}, 3 * {name})

    def forward(self, x):
        return attend(*self.qkv(x).chunk(3, -1))
"""
    assert written(source, "Attention").subject()["arguments"] == {name: "48"}
