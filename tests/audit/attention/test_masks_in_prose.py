"""Masks documented in the prose of a class: what hides the kept keys, or weighs them after the softmax, fails."""

from collections.abc import Iterator

import pytest

from audit.results import Outcome

from .judged_sources import JudgedSources

_SOURCE = '''import math
import torch
from torch import nn


class Attention(nn.Module):
    """Multi-head attention of a sequence to itself.

    {said}
    """

    def __init__(self, dim=48, num_heads=6):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, dim) for _ in range(3))
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        q, k, v = (
            layer(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is not None:
            {before}
        weights = scores.softmax(-1)
        if mask is not None:
            {after}
        return self.out_proj((weights @ v).transpose(1, 2).flatten(2))
'''
_KEPT = "A boolean `mask` (B, L) may be given, which is True for tokens that can be attended to."
_PART = "The mask is a bool tensor of shape (B, L); True means that a token takes part."
_PADDING = "The padding mask is True where a token is padding."
_ONES = "`mask` has 1 for real tokens and 0 for padding."
_SILENT = "It takes a mask."
_LOWEST = "torch.finfo(scores.dtype).min"
_HIDES_FALSE = f"scores = scores.masked_fill(~mask.bool()[:, None, None, :], {_LOWEST})"
_HIDES_TRUE = f"scores = scores.masked_fill(mask.bool()[:, None, None, :], {_LOWEST})"
_WEIGHED = "weights = weights * mask[:, None, None, :]"
# Each with what it says, what it does before the softmax, and after it.
CORRECT = {
    "kept": (_KEPT, _HIDES_FALSE, "pass"),
    "part": (_PART, _HIDES_FALSE, "pass"),
    "padding": (_PADDING, _HIDES_TRUE, "pass"),
    "ones": (_ONES, _HIDES_FALSE, "pass"),
    "whole_numbers": (_PART, "scores = scores + (1.0 - mask.long())[:, None, None, :] * -1e9", "pass"),
    "silent": (_SILENT, _HIDES_TRUE, "pass"),
}
WRONG = {
    "kept_hidden": (_KEPT, _HIDES_TRUE, "pass"),
    "part_hidden": (_PART, _HIDES_TRUE, "pass"),
    "padding_kept": (_PADDING, _HIDES_FALSE, "pass"),
    "ones_hidden": (_ONES, _HIDES_TRUE, "pass"),
    "kept_late": (_KEPT, "pass", _WEIGHED),
    "part_late": (_PART, "pass", _WEIGHED),
    "ones_late": (_ONES, "pass", _WEIGHED),
}
UNKNOWN = {"silent_late": (_SILENT, "pass", _WEIGHED)}
_NAMES = ("said", "before", "after")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedSources]:
    root = tmp_path_factory.mktemp("masks_in_prose")
    texts = {
        name: _SOURCE.format(**dict(zip(_NAMES, parts, strict=True)))
        for name, parts in {**CORRECT, **WRONG, **UNKNOWN}.items()
    }
    written = JudgedSources(root, {name: (text, "Attention") for name, text in texts.items()})
    yield written
    written.close()


@pytest.mark.parametrize("name", CORRECT)
def test_what_hides_the_keys_it_says_raises_no_alarm(sources: JudgedSources, name: str) -> None:
    judged = sources.judge(name)
    alarms = {check: each.reason for check, many in judged.items() for each in many if each.outcome is Outcome.FAILED}
    assert not alarms
    (masks,) = judged["mask"]
    assert masks.outcome is Outcome.PASSED, masks.reason


@pytest.mark.parametrize("name", WRONG)
def test_what_hides_other_keys_fails(sources: JudgedSources, name: str) -> None:
    (masks,) = sources.judge(name, "mask")["mask"]
    assert masks.outcome is Outcome.FAILED, masks.reason


@pytest.mark.parametrize("check", ["mask", "noop_mask", "empty_rows", "mask_forms"])
def test_a_mask_that_is_not_understood_is_named(sources: JudgedSources, check: str) -> None:
    (judgement,) = sources.judge("silent_late", check)[check]
    assert judgement.outcome is Outcome.NOT_APPLICABLE
    assert judgement.reason == "undeclared: what mask does was not found out"
