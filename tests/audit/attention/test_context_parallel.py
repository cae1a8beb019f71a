"""An attention over ranks that hold shares of the sequence: right ones, ones with one edit, and what is not judged."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ...slow_cases import slow_unless

PROGRAM = Path(sys.executable).with_name("astrobio-audit")
CHECK = "attention.context_parallel"
TEXT = """import torch
import torch.distributed as dist
from torch import nn


def ranks():
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


class Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx, share):
        parts = [torch.empty_like(share) for _ in range(ranks()[1])]
        parts = [share] if len(parts) == 1 else (dist.all_gather(parts, share.contiguous()), parts)[1]
        return torch.cat(parts, dim=2)

    @staticmethod
    def backward(ctx, gradient):
        rank, size = ranks()
        gradient = gradient.contiguous().clone()
        if size > 1:
            dist.all_reduce(gradient)
        return gradient.chunk(size, dim=2)[rank]


class Parallel(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(24, 24) for _ in range(4))

    def forward(self, x, key_mask=None):
        q, k, v = (layer(x).unflatten(-1, (4, 6)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        k, v = Gathered.apply(k), Gathered.apply(v)
        rows = ranks()[0] * x.shape[1] + torch.arange(x.shape[1])[:, None]
        allowed = rows >= torch.arange(k.shape[2])
        if key_mask is not None:
            seen = key_mask[:, None, :, None].to(x.dtype)
            allowed = allowed & (Gathered.apply(seen)[:, 0, :, 0] > 0)[:, None, None, :]
        scores = (q @ k.mT * 6**-0.5).masked_fill(~allowed, -torch.inf)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
"""
SPECS = """from zoo.parts import Parallel

MODELS = {}
SIZES = {
    "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": True, "embed_dim": 24, "key_mask": True,
    "projections": {"query": "q", "key": "k", "value": "v", "output": "out"},
}
SPEC = {
    "class": "zoo.parts:Parallel", "build": Parallel,
    "forward": lambda module, x, key_mask: module(x, key_mask),
    "contract": {**SIZES, "context_parallel": True},
}
ATTENTION = {
    "parallel": SPEC,
    "undeclared": {**SPEC, "contract": SIZES},
    "without_projections": {
        **SPEC, "contract": {key: SPEC["contract"][key] for key in SPEC["contract"] if key != "projections"}
    },
}
"""
# In one process each of these is right.
WRONG = {
    "positions_begin_at_zero": ("ranks()[0] * x.shape[1] + ", "", "at rank 1, 2 and not at 0"),
    "shares_in_another_order": ("torch.cat(parts,", "torch.cat(parts[1:] + parts[:1],", "each with a share"),
    "gradients_of_others_left_out": ("if size > 1:", "if size > 9:", "a gradient differs|each with a share"),
    "the_gradient_of_another_share": ("[rank]", "[rank - 1]", "hidden_states"),
    "an_exception_on_ranks": ("rows = ranks()", "assert ranks()[1] == 1, 'alone only'; rows = ranks()", "alone only"),
}


def judgement_of(
    folder: Path, audit_of: Callable[[Path], Any], name: str = "parallel", text: str = TEXT, settings: str = ""
) -> Any:
    (folder / "zoo").mkdir()
    for file, content in (("__init__", ""), ("parts", text), ("specs", SPECS)):
        (folder / "zoo" / f"{file}.py").write_text(content)
    settings = f'[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n{settings}'
    (folder / "pyproject.toml").write_text(settings)
    return audit_of(folder).judge(name, only=CHECK)[CHECK]


def test_three_ranks_are_what_one_process_is(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    judgement = judgement_of(tmp_path, audit_of)
    assert judgement.outcome == "passed", judgement.reason
    assert "3 ranks over gloo" in judgement.measured.origin
    assert 0 < judgement.measured.bound < 1e-3


@pytest.mark.parametrize("wrong", slow_unless({"positions_begin_at_zero"}, WRONG))
def test_one_edit_that_one_process_does_not_show_fails(
    tmp_path: Path, audit_of: Callable[[Path], Any], wrong: str
) -> None:
    before, after, _ = WRONG[wrong]
    assert TEXT.count(before) == 1
    judgement = judgement_of(tmp_path, audit_of, text=TEXT.replace(before, after))
    assert judgement.outcome == "failed", judgement.reason
    assert any(part in judgement.reason for part in WRONG[wrong][2].split("|")), judgement.reason


@pytest.mark.slow
def test_a_failure_comes_with_a_script_that_starts_ranks_of_its_own(
    tmp_path: Path, audit_of: Callable[[Path], Any]
) -> None:
    before, after, _ = WRONG["positions_begin_at_zero"]
    assert judgement_of(tmp_path, audit_of, text=TEXT.replace(before, after)).outcome == "failed"
    command = [PROGRAM, "attention", "--target", tmp_path, "--subject", "parallel", "--output", tmp_path, "--quiet"]
    assert subprocess.run(command, timeout=240, check=False).returncode == 1
    (script,) = (tmp_path / "reproducers").iterdir()
    command = [sys.executable, "-I", script, tmp_path]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 1
    (tmp_path / "zoo" / "parts.py").write_text(TEXT)
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0


@pytest.mark.slow
def test_ranks_that_wait_for_one_another_are_an_error(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    waits = TEXT.replace("rows = ranks()", "dist.is_initialized() and ranks()[0] and dist.barrier(); rows = ranks()")
    judgement = judgement_of(tmp_path, audit_of, text=waits, settings="timeout_s = 12\n")
    assert judgement.outcome == "error", judgement.reason
    assert "wait for one another" in judgement.reason


def test_what_declares_nothing_of_ranks_is_not_judged(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    judgement = judgement_of(tmp_path, audit_of, "undeclared")
    assert judgement.outcome == "not_applicable"
    assert "context_parallel" in judgement.reason


def test_without_an_oracle_it_is_not_verified(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    assert judgement_of(tmp_path, audit_of, "without_projections").outcome == "skipped"


def test_what_is_wrong_in_one_process_is_said_elsewhere(tmp_path: Path, audit_of: Callable[[Path], Any]) -> None:
    judgement = judgement_of(tmp_path, audit_of, text=TEXT.replace("6**-0.5", "6**-1.0"))
    assert judgement.outcome == "not_applicable"
    assert "attention.oracle" in judgement.reason
