"""The call form of a cache is found from the arguments, and chunks that pass through it are put together again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from .conftest import Found

BASE = """
import math
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim=48, num_heads=6):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def attend(self, q, k, v):
        allowed = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(k.shape[2] - q.shape[2])
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~allowed, float("-inf"))
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))

    def projected(self, x):
        return self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
"""
FORWARDS = {
    "returned": (
        """
    def forward(self, x, layer_past=None, use_cache=False):
        q, k, v = self.projected(x)
        if layer_past is not None:
            k, v = torch.cat((layer_past[0], k), dim=2), torch.cat((layer_past[1], v), dim=2)
        return self.attend(q, k, v), torch.stack((k, v)) if use_cache else None
""",
        {"parameter": "layer_past", "first": None, "path": [1], "flags": ["use_cache"]},
    ),
    "incremental": (
        """
    def forward(self, x, incremental_state=None):
        q, k, v = self.projected(x)
        if incremental_state is not None:
            if "prev_key" in incremental_state:
                k = torch.cat((incremental_state["prev_key"], k), dim=2)
                v = torch.cat((incremental_state["prev_value"], v), dim=2)
            incremental_state["prev_key"], incremental_state["prev_value"] = k, v
        return self.attend(q, k, v)
""",
        {"parameter": "incremental_state", "first": "dict", "path": None},
    ),
    "pair": (
        """
    def forward(self, x, kv_cache=None):
        q, k, v = self.projected(x)
        if kv_cache is not None:
            if kv_cache[0] is not None:
                k, v = torch.cat((kv_cache[0], k), dim=2), torch.cat((kv_cache[1], v), dim=2)
            kv_cache[0], kv_cache[1] = k, v
        return self.attend(q, k, v)
""",
        {"parameter": "kv_cache", "first": "pair", "path": None},
    ),
    "kept": (
        """
    cache = None

    def reset_cache(self):
        self.cache = None

    def forward(self, x, use_cache=False):
        q, k, v = self.projected(x)
        if use_cache:
            if self.cache is not None:
                k, v = torch.cat((self.cache[0], k), dim=2), torch.cat((self.cache[1], v), dim=2)
            self.cache = (k, v)
        return self.attend(q, k, v)
""",
        {"parameter": None, "reset": "reset_cache", "flags": ["use_cache"]},
    ),
}


def _found(tmp_path: Path, forward: str) -> Found:
    path = tmp_path / "caches.py"
    path.write_text(BASE + forward)
    return Found(path, "Attention")


@pytest.mark.parametrize("name", FORWARDS)
def test_the_convention_is_found_and_chunks_give_the_whole(tmp_path: Path, name: str) -> None:
    forward, expected = FORWARDS[name]
    found = _found(tmp_path, forward)
    cache = found.form()["cache"]
    assert {key: cache[key] for key in expected} == expected
    call: Callable[..., Any] = found.callee().call
    leaves = {"hidden_states": torch.randn(2, 11, 48), "key_mask": None}
    with torch.no_grad():
        whole = call(leaves, {"kind": "forward", "is_causal": False})
        decoded = call(leaves, {"kind": "decode", "chunks": [4, 1, 6]})
    assert torch.allclose(decoded, whole, atol=1e-6)


def test_a_mask_hides_later_tokens_where_nothing_else_does(tmp_path: Path) -> None:
    forward = """
    def forward(self, x, attention_mask=None, past_key_value=None):
        q, k, v = self.projected(x)
        if past_key_value is not None:
            k, v = torch.cat((past_key_value[0], k), dim=2), torch.cat((past_key_value[1], v), dim=2)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if attention_mask is not None:
            scores = scores + attention_mask
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)), (k, v)
"""
    form = _found(tmp_path, forward).form()
    assert form["cache"]["mask"]
    assert form["cache mask"]["shape"] == "B1LL"


def test_a_cache_that_nothing_reads_is_no_convention(tmp_path: Path) -> None:
    forward = """
    def forward(self, x, cache=None):
        return self.attend(*self.projected(x))
"""
    form = _found(tmp_path, forward).form()
    assert not form.get("cache")
    assert form["why no cache"]


def test_without_causality_there_is_nothing_to_decode(tmp_path: Path) -> None:
    forward = """
    def forward(self, x, cache=None):
        q, k, v = self.projected(x)
        return self.out((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2)) if False else self.out(
            ((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2)
        )
""".replace("self.out((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2)) if False else ", "")
    assert "later tokens are seen" in _found(tmp_path, forward).form()["why no cache"]
