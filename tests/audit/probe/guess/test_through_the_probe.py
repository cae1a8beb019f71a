"""Found in one process and run in another, as the parent does."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from audit.gateway import Limits, Probe
from audit.probe.guess.find import find

FIXTURES = Path(__file__).parents[3] / "fixtures" / "attention" / "guessed"


def opened() -> Probe:
    limits = Limits(timeout_s=60.0, memory_mb=2048)
    return Probe(python=Path(sys.executable), source=FIXTURES, root=FIXTURES, package="gpt_style", limits=limits)


def test_a_subject_that_one_process_finds_is_run_by_another() -> None:
    asked: dict[str, Any] = {
        "path": str(FIXTURES / "gpt_style.py"),
        "module": "gpt_style",
        "qualname": "CausalSelfAttention",
    }
    with opened() as finding:
        reply = finding.call("attention_find", **asked, seed=3)
    assert reply["problem"] is None
    assert (reply["kind"], reply["loaded"]) == ("module", "package")
    assert reply["declared"] == "gpt_style:CausalSelfAttention"
    (subject,) = reply["subjects"]
    with opened() as running:
        ran = running.call(
            "attention_run",
            subject={"kind": "guess", **asked, "choices": subject["choices"]},
            declared=reply["declared"],
            seed=3,
            dtype="float32",
            calls=[{"kind": "forward", "is_causal": True, "hidden_states": "0.x"}],
            tensors=save({"0.x": torch.randn(2, 11, 48)}),
        )
    assert ran["parameters"] == reply["parameters"] == 4 * 48 * 48 + 4 * 48
    assert load(ran["tensors"])["output.0"].shape == (2, 11, 48)


@pytest.mark.parametrize(
    ("file", "qualname"), [("layouts", "Window"), ("gpt_style", "Block"), ("functions", "attention")]
)
def test_choices_are_json(file: str, qualname: str) -> None:
    for subject in find(str(FIXTURES / f"{file}.py"), None, qualname, 0)["subjects"]:
        assert json.loads(json.dumps(subject["choices"])) == subject["choices"]


def test_a_package_that_exits_at_import_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    file = tmp_path / "leaves.py"
    file.write_text("raise SystemExit('no GPU')\n")
    with opened() as probe:
        reply = probe.call("attention_find", path=str(file), module=None, qualname="Attention", seed=0)
    assert reply["problem"].startswith("cannot load Attention: import of the file: SystemExit: no GPU (leaves.py:1)")
    assert reply["subjects"] == []


SLOW = """
import time

from torch import nn


def attention(query, key, value, mask=None, causal=False):
    time.sleep(0.5)
    raise MemoryError("no room for the table")


class Slow(nn.Module):
    def __init__(self, embed_dim=16, num_heads=4, depth=2):
        super().__init__()
        self.query, self.key = nn.Linear(embed_dim, embed_dim), nn.Linear(embed_dim, embed_dim)

    def forward(self, x, mask=None):
        return attention(self.query(x), self.key(x), x)
"""


@pytest.mark.parametrize(
    ("procedure", "qualname"),
    [("model_find", "Slow"), ("attention_find", "Slow"), ("attention_find", "attention")],
)
def test_trials_end_before_the_call_and_say_what_was_raised(tmp_path: Path, procedure: str, qualname: str) -> None:
    file = tmp_path / "slow.py"
    file.write_text(SLOW)
    limits = Limits(timeout_s=4.0, memory_mb=2048)
    with Probe(python=Path(sys.executable), source=tmp_path, root=tmp_path, package="slow", limits=limits) as probe:
        reply: dict[str, Any] = dict(probe.call(procedure, path=str(file), module="slow", qualname=qualname, seed=0))
    assert "MemoryError: no room for the table (slow.py:9) (the time for trials was up)" in reply["problem"]
