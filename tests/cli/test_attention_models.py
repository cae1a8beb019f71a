"""`astrobio-audit attention FILE::NAME` of a whole model: what attends in it is judged, or named."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

SOURCE = """
import math
import torch
from torch import nn


class CausalSelfAttention(nn.Module):
    def __init__(self, dim, heads=4):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (e.unflatten(-1, (self.heads, -1)).transpose(1, 2) for e in self.qkv(x).chunk(3, -1))
        scores = (q @ k.transpose(-2, -1)) * SCALE
        scores = scores.masked_fill(torch.ones(T, T).tril() == 0, float('-inf'))
        return self.proj((torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(B, T, C))


class GPT(nn.Module):
    def __init__(self, vocab=50, dim=32):
        super().__init__()
        self.parts = nn.ModuleDict(dict(wte=nn.Embedding(vocab, dim), wpe=nn.Embedding(64, dim)))
        self.layer = CausalSelfAttention(dim)
        self.head = nn.Linear(dim, vocab)

    def forward(self, idx, targets=None):
        x = self.parts.wte(idx) + self.parts.wpe(torch.arange(idx.shape[1]))
        return self.head(x + self.layer(x))


class OfTorch(nn.Module):
    def __init__(self, vocab=50, dim=32):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.layer = nn.MultiheadAttention(dim, 4, batch_first=True)

    def forward(self, idx):
        x = self.embed(idx)
        return self.layer(x, x, x)[0]


class Remote(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.embed = nn.Embedding(50, dim)
        self.layer = CausalSelfAttention(dim)
        raise RuntimeError("only on the cluster")

    def forward(self, idx):
        return self.layer(self.embed(idx))


class Images(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.patch = nn.Conv2d(3, dim, 4, 4)
        self.layer = CausalSelfAttention(dim)

    def forward(self, images):
        return self.layer(self.patch(images).flatten(2).transpose(1, 2)).mean(1)
"""
RIGHT, WRONG = "(1.0 / math.sqrt(k.size(-1)))", "math.sqrt(k.size(-1))"


def judged(run: Run, folder: Path, name: str, *only: str, scale: str = RIGHT) -> tuple[int, dict[str, Any]]:
    (folder / "gpt.py").write_text(SOURCE.replace("SCALE", scale))
    words = [word for check in only for word in ("--only", check)]
    done = run("attention", f"gpt.py::{name}", *words, "--json", cwd=folder)
    found: dict[str, Any] = defaultdict(dict)
    for each in json.loads(done.stdout)["results"]:
        found[each["subject"]["qualname"]][each["check"]] = each
    return done.returncode, found


@pytest.mark.parametrize(("scale", "outcome", "code"), [(RIGHT, "passed", 0), (WRONG, "failed", 1)])
def test_a_model_that_takes_token_ids_is_judged_by_what_attends_in_it(
    run: Run, tmp_path: Path, scale: str, outcome: str, code: int
) -> None:
    returned, found = judged(run, tmp_path, "GPT", "model_cores", "scale", scale=scale)
    assert returned == code
    inner = found["CausalSelfAttention"]
    assert (inner["attention.built"]["outcome"], inner["attention.scale"]["outcome"]) == ("passed", outcome)
    (whole,) = found["GPT"].values()
    assert (whole["check"], whole["outcome"]) == ("attention.model_cores", "not_applicable")
    assert "`self.parts.wte(idx)`" in whole["reason"]
    assert "(CausalSelfAttention): each of its 1 attention computations is that of a class" in whole["reason"]


def test_attention_of_torch_in_a_model_of_tokens_is_traced(run: Run, tmp_path: Path) -> None:
    returned, found = judged(run, tmp_path, "OfTorch")
    ((_, whole),) = found["OfTorch"].items()
    assert (returned, whole["check"], whole["outcome"]) == (0, "attention.model_cores", "passed")
    assert "1 of 1 computations belong to nothing in the inventory" in whole["evidence"]["bound_origin"]


def test_a_model_of_tokens_that_cannot_be_built_is_an_error_and_what_attends_in_it_is_judged(
    run: Run, tmp_path: Path
) -> None:
    returned, found = judged(run, tmp_path, "Remote", "model_cores", "built")
    whole = found["Remote"]["attention.model_cores"]
    assert (returned, whole["outcome"]) == (3, "error")
    assert "only on the cluster" in whole["reason"]
    assert found["CausalSelfAttention"]["attention.built"]["outcome"] == "passed"


def test_a_model_of_images_is_an_error_that_names_what_attends_in_it(run: Run, tmp_path: Path) -> None:
    returned, found = judged(run, tmp_path, "Images", "built")
    built = found["Images"]["attention.built"]
    assert (returned, built["outcome"]) == (3, "error")
    assert built["fix"] == "name what attends in it: `astrobio-audit attention gpt.py::CausalSelfAttention`"
