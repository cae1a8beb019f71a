"""What packages write, which reads as a promise and is none: imitated here, each beside the same that is wrong."""

from pathlib import Path

import pytest

from audit.results import Outcome

from .judged_sources import JudgedSources

# One class for self- and cross-attention, with a mask for each.
TWO_MODES = '''
from torch import Tensor, nn


class TwoModes(nn.Module):
    """Attention over (batch, length, hidden_size), or over the states of an encoder."""

    def __init__(self, hidden_size: int, num_attention_heads: int) -> None:
        super().__init__()
        self.heads = num_attention_heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Both masks: additive (batch, 1, 1, keys)."""
        crosses = encoder_hidden_states is not None
        states = hidden_states
        if crosses:
            states = encoder_hidden_states
            attention_mask = encoder_attention_mask
        q, k, v = (
            layer(each).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, each in ((self.query, hidden_states), (self.key, states), (self.value, states))
        )
        scores = q @ k.mT * q.shape[-1] ** -0.5
        if attention_mask is not None:
            scores = scores + attention_mask
        return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
'''
_REPLACED = "            attention_mask = encoder_attention_mask\n"
_APPLIED = ("if attention_mask is not None", "if encoder_attention_mask is not None")
# Causal between the parts of a sequence, which its documentation tells.
PARTS = '''
import torch
from torch import Tensor


def parts_causal_attention(query: Tensor, key: Tensor, value: Tensor, num_references: int = 0) -> Tensor:
    """Causal attention in which references see themselves alone.

    All are (batch, length, heads, head_dim). References come first; the other tokens attend to all tokens.
    """
    query, key, value = (each.transpose(1, 2) for each in (query, key, value))
    hidden = torch.zeros(query.shape[2], key.shape[2], dtype=torch.bool)
    hidden[:num_references, num_references:] = True
    scores = (query @ key.mT * query.shape[-1] ** -0.5).masked_fill(hidden, float("-inf"))
    return (scores.softmax(dim=-1) @ value).transpose(1, 2)
'''


def outcomes(folder: Path, text: str, name: str, check: str) -> list[tuple[Outcome, str]]:
    """Return the outcomes of one check and their reasons, in every way to build what the text has."""
    sources = JudgedSources(folder, {"subject": (text, name)})
    try:
        return [(each.outcome, str(each.reason)) for each in sources.judge("subject", check)[check]]
    finally:
        sources.close()


def test_a_mask_that_gives_way_to_that_of_the_encoder_is_not_lost(tmp_path: Path) -> None:
    found = outcomes(tmp_path, TWO_MODES, "TwoModes", "arguments_used")
    assert Outcome.FAILED not in {outcome for outcome, _ in found}, found
    assert any("attention_mask changed nothing" in reason for _, reason in found), found


@pytest.mark.parametrize(
    "edits",
    [
        (
            (_REPLACED, "            attention_mask = None\n"),
            ("+ attention_mask", "+ encoder_attention_mask"),
            _APPLIED,
        ),
        ((_REPLACED, "        attention_mask = encoder_attention_mask\n"),),
        (("+ attention_mask", "+ encoder_attention_mask"), _APPLIED),
    ],
    ids=["dropped", "in both modes", "never applied"],
)
def test_a_mask_that_gives_way_to_nothing_is_told(tmp_path: Path, edits: tuple[tuple[str, str], ...]) -> None:
    text = TWO_MODES
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    found = outcomes(tmp_path, text, "TwoModes", "arguments_used")
    assert any(outcome is Outcome.FAILED and "attention_mask is taken" in reason for outcome, reason in found), found


@pytest.mark.parametrize("check", ["causality", "prefix"])
def test_causal_between_parts_is_no_order_of_tokens(tmp_path: Path, check: str) -> None:
    found = outcomes(tmp_path, PARTS, "parts_causal_attention", check)
    assert {outcome for outcome, _ in found} <= {Outcome.PASSED, Outcome.NOT_APPLICABLE}, found


@pytest.mark.parametrize("said", ["attend to all earlier tokens", "attend to all tokens before them", "follow"])
def test_a_causal_function_that_sees_later_tokens_is_told(tmp_path: Path, said: str) -> None:
    text = PARTS.replace("attend to all tokens", said)
    assert text != PARTS
    found = outcomes(tmp_path, text, "parts_causal_attention", "causality")
    assert [outcome for outcome, _ in found] == [Outcome.FAILED], found


# Neighbouring features share an angle, whose cosine and sine the call passes in.
NEIGHBOURS = '''
import torch
from torch import Tensor, nn


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    even, odd = x[..., ::2], x[..., 1::2]
    return x * cos + torch.stack([-odd, even], dim=-1).flatten(-2) * sin


class Neighbours(nn.Module):
    """Self-attention over (batch, length, hidden_size)."""

    def __init__(self, hidden_size: int, num_attention_heads: int) -> None:
        super().__init__()
        self.heads = num_attention_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.proj = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden_states: Tensor, position_embeddings: tuple[Tensor, Tensor]) -> Tensor:
        cos, sin = (each[:, None] for each in position_embeddings)
        q, k, v = self.qkv(hidden_states).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = apply_rotary(q, cos, sin), apply_rotary(k, cos, sin)
        y = (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1) @ v
        return self.proj(y.transpose(1, 2).flatten(2))
'''
# Halves share an angle; a cast to real numbers would take any table.
ANGLES = NEIGHBOURS.replace("position_embeddings: tuple[Tensor, Tensor]", "rope: Tensor")
ANGLES = ANGLES.replace("(each[:, None] for each in position_embeddings)", "(rope.float().cos(), rope.float().sin())")
ANGLES = ANGLES.replace("torch.stack([-odd, even], dim=-1).flatten(-2)", "torch.cat([-odd, even], dim=-1)").replace(
    "x[..., ::2], x[..., 1::2]", "x.chunk(2, dim=-1)"
)


@pytest.mark.parametrize("text", [NEIGHBOURS, ANGLES], ids=["neighbours", "angles"])
def test_tables_are_laid_out_as_the_pairs_are(tmp_path: Path, text: str) -> None:
    found = outcomes(tmp_path, text, "Neighbours", "shifted_positions")
    assert [outcome for outcome, _ in found] == [Outcome.PASSED], found


@pytest.mark.parametrize("text", [NEIGHBOURS, ANGLES], ids=["neighbours", "angles"])
@pytest.mark.parametrize(
    "after", ["apply_rotary(q, cos, sin), k", "apply_rotary(q, cos, sin), apply_rotary(k, cos, -sin)"]
)
def test_keys_that_turn_otherwise_are_told(tmp_path: Path, text: str, after: str) -> None:
    before = "apply_rotary(q, cos, sin), apply_rotary(k, cos, sin)"
    assert before in text
    found = outcomes(tmp_path, text.replace(before, after), "Neighbours", "shifted_positions")
    assert [outcome for outcome, _ in found] == [Outcome.FAILED], found
