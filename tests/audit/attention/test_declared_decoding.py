"""Decoding that specs declare is checked after left padding and beyond the window."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODULE = """import torch
from torch import nn


class Rolling(nn.Module):
    def __init__(self, dim=24, heads=4, window=12):
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x, key_mask=None, cache=None):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if cache:
            k, v = torch.cat((cache["k"], k), dim=2), torch.cat((cache["v"], v), dim=2)
        if cache is not None:
            cache["k"], cache["v"] = k[:, :, -self.window :], v[:, :, -self.window :]
        queries, keys = q.shape[2], k.shape[2]
        distance = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)[None, :]
        allowed = ((distance >= 0) & (distance < self.window)).expand(x.shape[0], 1, -1, -1)
        if key_mask is not None:
            allowed = allowed & key_mask[:, None, None, -keys:]
        scores = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(~allowed, torch.finfo(x.dtype).min)
        return self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
"""
SPECS = """import torch
from zoo.rolling import Rolling


def decode(module, chunks, key_mask=None):
    cache, outputs, end = {}, [], 0
    for chunk in chunks:
        end += chunk.shape[1]
        outputs.append(module(chunk, None if key_mask is None else key_mask[:, :end], cache=cache))
    return torch.cat(outputs, dim=1)


MODELS = {}
ATTENTION = {
    "rolling": {
        "class": "zoo.rolling:Rolling", "build": Rolling, "decode": decode,
        "forward": lambda module, x, key_mask: module(x, key_mask),
        "contract": {
            "embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": True, "window": 12,
            "key_mask": True,
        },
    }
}
"""
# Eleven tokens fit in the window: what is wrong beyond it shows in longer inputs alone.
WRONG = {
    "one_key_too_few": (
        "beyond the window",
        "k[:, :, -self.window :], v[:, :, -self.window :]",
        "k[:, :, 2 - self.window :], v[:, :, 2 - self.window :]",
    ),
    "mask_of_the_first_keys": ("left padding", "key_mask[:, None, None, -keys:]", "key_mask[:, None, None, :keys]"),
    "mask_lost_with_a_cache": ("left padding", "if key_mask is not None:", "if key_mask is not None and not cache:"),
}


def _audited(folder: Path, audit_of: Callable[[Path], Any], text: str, specs: str = SPECS) -> Any:
    (folder / "zoo").mkdir()
    for name, content in (("__init__", ""), ("rolling", text), ("specs", specs)):
        (folder / "zoo" / f"{name}.py").write_text(content)
    (folder / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return audit_of(folder).judge("rolling", only="attention.kv_cache")["attention.kv_cache"]


def test_a_rolling_cache_passes(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    judgement = _audited(tmp_path, audit_of, MODULE)
    assert judgement.outcome == "passed", judgement.reason


@pytest.mark.parametrize("name", WRONG)
def test_one_edit_of_it_fails(tmp_path: Path, audit_of: Callable[[Path], Any], name: str) -> None:
    words, before, after = WRONG[name]
    assert MODULE.count(before) == 1
    judgement = _audited(tmp_path, audit_of, MODULE.replace(before, after))
    assert judgement.outcome == "failed"
    assert words in str(judgement.reason)


def test_without_a_mask_in_the_specs_padding_is_left_out(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    wrong = MODULE.replace("if key_mask is not None:", "if key_mask is not None and not cache:")
    specs = SPECS.replace("chunks, key_mask=None", "chunks").replace(
        "None if key_mask is None else key_mask[:, :end]", "None"
    )
    assert _audited(tmp_path, audit_of, wrong, specs).outcome == "passed"
