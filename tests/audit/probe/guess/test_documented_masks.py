from collections.abc import Callable
from typing import Any

import pytest

Found = Any

_SOURCE = '''
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x, mask=None):
        """Attend.

        Args:
            x: (batch, seq, dim).
            mask: {said}
        """
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.mT * q.shape[-1] ** -0.5
        if mask is not None:
            scores = {applied}
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
'''
_KEEP = 'scores.masked_fill(mask[:, None, None] == 0, float("-inf"))'
_DROP = 'scores.masked_fill(mask[:, None, None].bool(), float("-inf"))'


@pytest.mark.parametrize(
    ("said", "applied", "convention"),
    [
        ("bool, (batch, seq), True for tokens to keep, False for padding.", _KEEP, "bool keep"),
        ("bool, (batch, seq), True for padding, False for tokens to keep.", _DROP, "bool drop"),
        ("1 where a key may be attended to, 0 where it is masked.", _KEEP, "int keep"),
        ("True where a key may be attended to; others are masked.", _KEEP, "bool keep"),
        ("True where a key must not be attended to.", _DROP, "bool drop"),
        # The 1 of the shape is no truth value.
        ("(batch, 1, 1, seq), additive: 0, or a large negative number where masked.", "scores + mask", "additive"),
        ("0 or a large negative number, which is added to the scores.", "scores + mask", "additive"),
    ],
)
def test_what_is_said_of_a_truth_value_ends_at_the_next(
    written: Callable[[str, str], Found], said: str, applied: str, convention: str
) -> None:
    form = written(_SOURCE.format(said=said, applied=applied), "Attention").form()
    assert form["mask"]["convention"] == convention
    assert "did not hide" not in form["why mask"]


def test_rotation_in_a_function_that_forward_calls_is_known(written: Callable[[str, str], Found]) -> None:
    text = """
import torch
from torch import nn


def rotate_half(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def apply_rotary(q, k, cos, sin):
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin


class Attention(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        self.head_dim = hidden_size // num_heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(hidden_size, hidden_size) for _ in range(4))

    def forward(self, hidden_states, position_embeddings):
        q, k, v = (
            layer(hidden_states).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = apply_rotary(q, k, *position_embeddings)
        return self.o_proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
"""
    contract = written(text, "Attention").subject()["contract"]
    assert contract["rotary_layout"] == "half"
    assert contract["projections"]
