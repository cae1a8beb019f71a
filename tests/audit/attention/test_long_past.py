"""Queries after a long past see all of it: in blocks of keys and through a cache; what refuses one is unjudged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECK = "attention.long_past"
TEXT = """import torch
from torch import nn

BLOCK = 64


def blocked(query, key, value, is_causal):
    offset = key.shape[2] - query.shape[2]
    end = key.shape[2]
    rows = torch.arange(query.shape[2])[:, None] + offset
    largest = query.new_full((*query.shape[:3], 1), -torch.inf)
    total, weighted = torch.zeros_like(largest), torch.zeros_like(query)
    for start in range(0, -(-end // BLOCK) * BLOCK, BLOCK):
        columns = torch.arange(start, min(start + BLOCK, key.shape[2]))
        scores = query @ key[:, :, columns].mT * query.shape[-1] ** -0.5
        if is_causal:
            scores = scores.masked_fill(columns > rows, -torch.inf)
        now = torch.maximum(largest, scores.amax(-1, keepdim=True))
        weights = (scores - now).exp()
        shrunk = (largest - now).exp()
        total = total * shrunk + weights.sum(-1, keepdim=True)
        weighted = weighted * shrunk + weights @ value[:, :, columns]
        largest = now
    return weighted / total


class Cached(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(24, 72), nn.Linear(24, 24)

    def forward(self, x, cache=None):
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, 6)).permute(2, 0, 3, 1, 4)
        if cache:
            k, v = torch.cat((cache["k"], k), dim=2), torch.cat((cache["v"], v), dim=2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        return self.out(blocked(q, k, v, True).transpose(1, 2).flatten(2))
"""
SPECS = """import torch
from zoo.parts import Cached, blocked


def decode(module, chunks):
    cache = {}
    return torch.cat([module(chunk, cache=cache) for chunk in chunks], dim=1)


MODELS = {}
SIZES = {"num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": True}
ATTENTION = {
    "blocked": {
        "function": "zoo.parts:blocked", "contract": SIZES,
        "forward": lambda query, key, value, is_causal, mask: blocked(query, key, value, is_causal),
    },
    "cached": {
        "class": "zoo.parts:Cached", "build": Cached, "decode": decode,
        "forward": lambda module, x, key_mask: module(x),
        "contract": {**SIZES, "embed_dim": 24},
    },
    "whole": {
        "class": "zoo.parts:Cached", "build": Cached, "forward": lambda module, x, key_mask: module(x),
        "contract": {**SIZES, "embed_dim": 24},
    },
}
"""
NAMES = ("blocked", "cached")
# After the six keys of a short past each of these is right.
WRONG = {
    "blocks_end_with_the_queries": (NAMES, "end = key.shape[2]\n", "end = BLOCK * -(-query.shape[2] // BLOCK)\n"),
    "the_last_block_is_left_out": (("blocked",), "-(-end // BLOCK)", "max(1, end // BLOCK)"),
    "a_cache_of_256_tokens": (
        ("cached",), 'cache["k"], cache["v"] = k, v', 'cache["k"], cache["v"] = k[:, :, -256:], v[:, :, -256:]'
    ),
}  # fmt: skip


def judgement_of(folder: Path, audit_of: Callable[[Path], Any], name: str, text: str = TEXT) -> Any:
    (folder / "zoo").mkdir()
    for file, content in (("__init__", ""), ("parts", text), ("specs", SPECS)):
        (folder / "zoo" / f"{file}.py").write_text(content)
    (folder / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return audit_of(folder).judge(name, only=CHECK)[CHECK]


@pytest.mark.parametrize("name", NAMES)
def test_a_past_of_several_blocks_is_seen(tmp_path: Path, audit_of: Callable[[Path], Any], name: str) -> None:
    judgement = judgement_of(tmp_path, audit_of, name)
    assert judgement.outcome == "passed", judgement.reason
    assert 0 < judgement.measured.bound < 1e-4


@pytest.mark.parametrize(("wrong", "name"), [(wrong, name) for wrong, (names, *_) in WRONG.items() for name in names])
def test_one_edit_fails_after_a_long_past_alone(
    tmp_path: Path, audit_of: Callable[[Path], Any], wrong: str, name: str
) -> None:
    _, before, after = WRONG[wrong]
    assert TEXT.count(before) == 1
    judgement = judgement_of(tmp_path, audit_of, name, TEXT.replace(before, after))
    assert judgement.outcome == "failed", judgement.reason
    assert "after a short one they do" in judgement.reason
    assert judgement.measured.value > judgement.measured.bound


@pytest.mark.parametrize("name", NAMES)
def test_what_is_wrong_after_a_short_past_is_said_elsewhere(
    tmp_path: Path, audit_of: Callable[[Path], Any], name: str
) -> None:
    judgement = judgement_of(tmp_path, audit_of, name, TEXT.replace("[:, None] + offset", "[:, None]"))
    assert judgement.outcome == "not_applicable"
    assert "after a short past outputs differ as well" in judgement.reason


@pytest.mark.parametrize("name", NAMES)
def test_what_refuses_a_long_past_is_not_judged(tmp_path: Path, audit_of: Callable[[Path], Any], name: str) -> None:
    refusing = "    if key.shape[2] > 128:\n        raise ValueError('too long')\n    end = key.shape[2]\n"
    judgement = judgement_of(tmp_path, audit_of, name, TEXT.replace("    end = key.shape[2]\n", refusing))
    assert judgement.outcome == "not_applicable"
    assert judgement.reason == (
        "undeclared: max_length, and so whether it takes a past of 263 tokens; observed: it raises ValueError"
    )


def test_without_a_cache_there_is_no_past(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    judgement = judgement_of(tmp_path, audit_of, "whole")
    assert judgement.outcome == "not_applicable"
    assert "there is no cache" in judgement.reason
