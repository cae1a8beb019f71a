"""Cross-attention to a context of another width, whose projections are declared: keys and values are the context's."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ...slow_cases import slow_unless

PROGRAM = Path(sys.executable).with_name("astrobio-audit")
TEXT = """import torch
from torch import nn


class Cross(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.out = nn.Linear(24, 24, bias=False), nn.Linear(24, 24)
        self.k, self.v = nn.Linear(18, 12, bias=False), nn.Linear(18, 12, bias=False)

    def forward(self, x, context, mask=None):
        q = self.q(x).unflatten(-1, (4, 6)).transpose(1, 2)
        k, v = (layer(context).unflatten(-1, (2, 6)).transpose(1, 2) for layer in (self.k, self.v))
        k, v = (each.repeat_interleave(2, dim=1) for each in (k, v))
        scores = q @ k.mT * 6**-0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        return self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
"""
SPECS = """from zoo.parts import Cross

MODELS = {}
SIZES = {"num_heads": 4, "num_kv_heads": 2, "head_dim": 6, "is_causal": False, "embed_dim": 24}
NAMED = {"projections": {"query": "q", "key": "k", "value": "v", "output": "out"}}


def declared(**more):
    return {
        "class": "zoo.parts:Cross", "build": Cross,
        "forward": lambda module, x, key_mask, context: module(x, context, key_mask),
        "contract": {**SIZES, "context_dim": 18, **more},
    }


ATTENTION = {
    "cross": declared(key_mask=True, **NAMED),
    "unmasked": declared(**NAMED),
    "of_another_width": declared(**NAMED) | {"contract": {**SIZES, **NAMED, "context_dim": 20}},
    "unnamed": declared(key_mask=True),
    "causal": declared(**NAMED) | {"contract": {**SIZES, **NAMED, "context_dim": 18, "is_causal": True}},
}
"""
ORACLE, GRADIENTS, MASK, LARGE = (f"attention.{check}" for check in ("oracle", "gradients", "mask", "large_logits"))
# The edit, the check that it fails, and what that says.
WRONG = {
    "scale": ("6**-0.5", "24**-0.5", ORACLE, "it agrees with scale 1/sqrt(embed_dim)"),
    "mask_inverted": ("~mask", "mask", ORACLE, "2 of 4 cases: right padding in float32; left padding"),
    "mask_forgotten": ("if mask is not None", "if mask is False", MASK, "masked"),
    "keys_detached": ("q @ k.mT", "q @ k.mT.detach()", GRADIENTS, "no gradient reaches k.weight"),
    "grouping": ("each.repeat_interleave(2, dim=1)", "each.repeat(1, 2, 1, 1)", ORACLE, "tiled head grouping"),
    "overflow": (
        "scores.softmax(dim=-1)",
        "(scores.exp() / scores.exp().sum(-1, keepdim=True))",
        LARGE,
        "a context of one token, its logit 207",
    ),
}


def written(folder: Path, text: str = TEXT) -> Path:
    (folder / "zoo").mkdir()
    for file, content in (("__init__", ""), ("parts", text), ("specs", SPECS)):
        (folder / "zoo" / f"{file}.py").write_text(content)
    (folder / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n')
    return folder


@pytest.mark.parametrize("name", ["cross", "unmasked"])
def test_a_right_one_passes_every_check(name: str, tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    found = audit_of(written(tmp_path)).judge(name)
    outcomes = {check: (each.outcome.value, each.reason) for check, each in found.items()}
    assert {outcome for outcome, _ in outcomes.values()} == {"passed", "not_applicable"}, outcomes
    for check in (ORACLE, GRADIENTS, LARGE, *([MASK] if name == "cross" else [])):
        assert outcomes[check][0] == "passed", check


@pytest.mark.parametrize("wrong", slow_unless({"mask_forgotten", "keys_detached"}, WRONG))
def test_one_edit_fails(wrong: str, tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    before, after, check, said = WRONG[wrong]
    assert TEXT.count(before) == 1
    found = audit_of(written(tmp_path, TEXT.replace(before, after))).judge("cross", only=check)[check]
    assert found.outcome == "failed", found.reason
    assert said in found.reason


def test_weights_of_another_width_do_not_fit(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    found = audit_of(written(tmp_path)).judge("of_another_width", only=ORACLE)[ORACLE]
    assert found.outcome == "error"
    assert "'k.weight' is a tensor of torch.float32 of shape (12, 18)" in found.reason
    assert "need floating-point numbers of shape (12, 20)" in found.reason


@pytest.mark.parametrize(("name", "said"), [("unnamed", "does not name"), ("causal", "how those of the two sequences")])
def test_without_an_oracle_it_is_not_verified(
    name: str, said: str, tmp_path: Path, audit_of: Callable[[Path], Any]
) -> None:
    found = audit_of(written(tmp_path)).judge(name, only=ORACLE)[ORACLE]
    assert found.outcome == "skipped"
    assert said in found.reason


@pytest.mark.slow
def test_a_failure_comes_with_a_script(tmp_path: Path) -> None:
    written(tmp_path, TEXT.replace("6**-0.5", "24**-0.5"))
    command = [PROGRAM, "attention", "--target", tmp_path, "--subject", "cross", "--output", tmp_path, "--quiet"]
    command += ["--only", ORACLE]
    assert subprocess.run(command, timeout=240, check=False).returncode == 1
    (script,) = (tmp_path / "reproducers").iterdir()
    assert 'inputs["context"].double()' in script.read_text()
    command = [sys.executable, "-I", script, tmp_path]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 1
    (tmp_path / "zoo" / "parts.py").write_text(TEXT)
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0
