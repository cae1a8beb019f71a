"""How long an input may be is declared by `max_length`: no longer one is passed in, and undeclared it is asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEXT = """import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, length=SIZE):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(24, 24) for _ in range(4))
        self.register_buffer("allowed", torch.ones(length, length, dtype=torch.bool).tril(), persistent=False)

    def forward(self, x, key_mask=None, cache=None):
        q, k, v = (each(x).unflatten(-1, (4, 6)).transpose(1, 2) for each in (self.q, self.k, self.v))
        if cache:
            k, v = torch.cat((cache["k"], k), dim=2), torch.cat((cache["v"], v), dim=2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        start, end = k.shape[2] - q.shape[2], k.shape[2]
        allowed = self.allowed[start:end, :end]
        if key_mask is not None:
            allowed = allowed & key_mask[:, None, None, :]
        scores = (q @ k.mT * 6**-0.5).masked_fill(~allowed, torch.finfo(q.dtype).min).softmax(dim=-1)
        return self.o((scores @ v).transpose(1, 2).flatten(2))
"""
SPECS = """import torch
from zoo.parts import Attention


def decode(module, chunks, key_mask=None):
    cache, outputs, end = {}, [], 0
    for chunk in chunks:
        end += chunk.shape[1]
        outputs.append(module(chunk, None if key_mask is None else key_mask[:, :end], cache=cache))
    return torch.cat(outputs, dim=1)


ATTENTION = {
    "attention": {
        "class": "zoo.parts:Attention", "build": Attention, "decode": decode,
        "forward": lambda module, x, key_mask: module(x, key_mask),
        "contract": {
            "embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": True, "key_mask": True,
            "dtypes": ["float32", "bfloat16"], "max_length": DECLARED,
            "projections": {"query": "q", "key": "k", "value": "v", "output": "o"},
        },
    }
}
"""
CHECKS = ("long_sequences", "low_precision", "long_past")
LONG_ONLY = ("* 6**-0.5", "* (6**-0.5 if end <= 22 else 1.0)")  # what short inputs do not show


def judged(
    folder: Path,
    audit_of: Callable[[Path], Any],
    *,
    size: int,
    declared: int | None,
    edit: tuple[str, str] = ("", ""),
    only: str | None = None,
) -> dict[str, Any]:
    (folder / "zoo").mkdir()
    for file, content in (
        ("__init__", ""),
        ("parts", TEXT.replace("SIZE", str(size)).replace(*edit)),
        ("specs", SPECS.replace("DECLARED", str(declared))),
    ):
        (folder / "zoo" / f"{file}.py").write_text(content)
    (folder / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    audited = audit_of(folder)
    checks = [only] if only else CHECKS
    found: dict[str, Any] = {}
    for check in checks:
        found |= audited.judge("attention", only=f"attention.{check}")
    return {check.removeprefix("attention."): each for check, each in found.items()}


def test_a_short_table_that_is_declared(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    found = judged(tmp_path, audit_of, size=64, declared=64)
    assert found["low_precision"].outcome == "passed", found["low_precision"].reason
    for check in ("long_sequences", "long_past"):
        assert found[check].outcome == "not_applicable"
        assert str(found[check].reason).startswith("the contract declares max_length = 64: ")


def test_a_short_table_that_is_not_declared_is_asked_for(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    found = judged(tmp_path, audit_of, size=64, declared=None)
    for check in ("long_sequences", "low_precision"):
        assert found[check].outcome == "error", check
        assert "the contract declares no max_length" in str(found[check].reason)
        assert str(found[check].fix).startswith("declare `max_length`")
    assert found["long_past"].outcome == "not_applicable"
    assert str(found["long_past"].reason).startswith("undeclared: max_length, and so whether it takes a past of 263")


@pytest.mark.slow
@pytest.mark.parametrize("declared", [300, None])
def test_a_longer_table(declared: int | None, tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    found = judged(tmp_path, audit_of, size=declared or 1031, declared=declared)
    assert {check: each.outcome.value for check, each in found.items()} == dict.fromkeys(CHECKS, "passed")


def test_a_mistake_within_the_declared_length_fails(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    (found,) = judged(tmp_path, audit_of, size=300, declared=300, edit=LONG_ONLY, only="long_sequences").values()
    assert found.outcome == "failed"
    assert found.measured.value > found.measured.bound


def test_a_declared_length_that_is_refused_fails(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    (found,) = judged(tmp_path, audit_of, size=64, declared=300, only="long_sequences").values()
    assert found.outcome == "failed"
    assert "raised RuntimeError" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize("size", [11, 13])
def test_no_check_passes_in_more_than_is_declared(size: int, tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    judged(tmp_path, audit_of, size=size, declared=size, only="kv_cache")
    found = audit_of(tmp_path).judge("attention")
    assert {each.outcome.value for each in found.values()} == {"passed", "not_applicable"}, {
        check: each.reason for check, each in found.items() if each.outcome in ("failed", "error", "skipped")
    }


def test_a_length_below_that_of_inputs_is_one_error(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    found = judged(tmp_path, audit_of, size=8, declared=8)
    (reason,) = {each.reason for each in found.values()}
    assert reason == "the contract declares max_length = 8, and inputs have 11 tokens: nothing was called"
    assert {each.outcome.value for each in found.values()} == {"error"}
