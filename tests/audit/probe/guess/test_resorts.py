"""A width under a name that says nothing is that of the defaults, and an output without numbers is told as one."""

from typing import Any

import pytest

Find = Any

_MODULE = """
import math
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, {arguments}):
        super().__init__()
        {before}
        self.c_attn = nn.Linear(size, 3 * size)
        self.c_proj = nn.Linear(size, size)
        self.n_head = n_head
        self.register_buffer("bias", torch.ones(64, 64).tril().view(1, 1, 64, 64))

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(C, dim=2)
        q, k, v = (each.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for each in (q, k, v))
        att = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
        att = att.masked_fill(self.bias[:, :, :T, :T] {hidden} 0, float("-inf"))
        y = att.softmax(dim=-1) @ v
        return self.c_proj({computed}.transpose(1, 2).contiguous().view(B, T, C))
"""
_OF_DEFAULTS = {
    "another name": ("breadth=32, n_head=4, dropout=0.1", "size = breadth"),
    "a number in the code": ("n_head=4, dropout=0.1", "size = 32"),
    "refused": ("breadth=32, n_head=4, dropout=0.1", "size = breadth; assert size % n_head == 0"),
}


@pytest.mark.parametrize("hidden", ["==", "!="])
@pytest.mark.parametrize("name", _OF_DEFAULTS)
def test_a_width_that_no_argument_is_known_to_set_is_that_of_the_defaults(
    written: Find, name: str, hidden: str
) -> None:
    arguments, before = _OF_DEFAULTS[name]
    source = _MODULE.format(arguments=arguments, before=before, hidden=hidden, computed="y")
    subject = written(source, "Attention").subject()
    assert subject["arguments"] == {"dropout": "0.0"}
    assert {key: subject["contract"].get(key) for key in ("embed_dim", "num_heads")} == {
        "embed_dim": 32,
        "num_heads": 4,
    }


def test_what_answered_without_numbers_came_further_than_what_refused_its_input(written: Find) -> None:
    arguments, before = _OF_DEFAULTS["another name"]
    computed = "(y - y.mean(dim=2, keepdim=True))"
    source = _MODULE.format(arguments=arguments, before=before, hidden="!=", computed=computed)
    problem = written(source, "Attention").reply["problem"]
    assert problem.startswith(
        "Attention(dropout=0.0) cannot be called: NotFinite: the output of a normal input is not finite at any position"
    )


def test_the_positions_without_numbers_are_told(written: Find) -> None:
    source = _MODULE.format(arguments="n_embd=32, n_head=4", before="size = n_embd", hidden="==", computed="y")
    # Of one sample only, so that it is no mask that hides every key from some positions.
    source = source.replace("        return ", "        y[0, :, 2:4] = math.nan\n        return ")
    assert "is not finite at 2 of 11 positions: 2, 3" in written(source, "Attention").reply["problem"]
    source = source.replace("2:4", "-1:")
    assert "is not finite at the last position, and is at the others" in written(source, "Attention").reply["problem"]
