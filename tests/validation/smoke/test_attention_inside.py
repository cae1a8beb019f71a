"""The attention that a model contains is declared, left out, or cannot be looked up: one line of the specs apart."""

from pathlib import Path

import pytest

from audit.results import Result
from audit.session import Request, conduct
from audit.target import Target
from validation.smoke.plan import plan_smoke
from validation.smoke.running import plan_with_or_without_specs

MODELS = """
import torch
from torch import nn

class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        scores = self.query(x) @ self.key(x).transpose(-2, -1) / 6**0.5
        return scores.softmax(dim=-1) @ self.value(x)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.head = SelfAttention(), nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.attention(x))
"""
SPECS = """
import torch
from zoo import models

def inputs(batch_size, generator):
    return {"x": torch.randn(batch_size, 4, 6, generator=generator)}

def loss(output, inputs):
    return (output - inputs["x"][..., :2]).square().mean()

MODELS = {"model": {"class": "zoo.models:Model", "build": models.Model, "inputs": inputs, "loss": loss}}
"""
DECLARED = """
ATTENTION = {"own": {"class": "zoo.models:SelfAttention", "build": models.SelfAttention,
    "forward": lambda module, hidden_states, key_mask: module(hidden_states),
    "contract": {"embed_dim": 6, "num_heads": 1, "is_causal": False}}}
"""


def judged(root: Path, specs: str | None) -> Result:
    """Return the verdict on the attention in the model, of a package with these specs or none."""
    (root / "zoo").mkdir()
    (root / "zoo" / "__init__.py").write_text("")
    (root / "zoo" / "models.py").write_text(MODELS)
    settings = '[tool.astrobio-audit]\npackage = "zoo"\n'
    if specs is not None:
        (root / "zoo" / "specs.py").write_text(specs)
        settings += 'specs = "zoo.specs"\n'
    (root / "pyproject.toml").write_text(settings)
    planner = plan_smoke if specs is not None else plan_with_or_without_specs
    report = conduct(Target.load(root), Request(command="smoke", planners=[planner], only=["smoke.attention"]))
    (found,) = [
        result
        for result in report.results
        if result.check == "smoke.attention" and (specs is not None or result.subject.qualname == "Model")
    ]
    return found


@pytest.mark.parametrize(
    ("attention", "outcome", "said"),
    [(DECLARED, "passed", "own"), ("ATTENTION = {}", "failed", "SelfAttention"), ("", "error", "SelfAttention")],
    ids=["declared", "left out", "no section"],
)
def test_attention_in_a_model(tmp_path: Path, attention: str, outcome: str, said: str) -> None:
    found = judged(tmp_path, f"{SPECS}{attention}\n")
    assert found.outcome.value == outcome, found.reason
    assert said in (found.reason or found.evidence.bound_origin or "")


def test_without_specs_the_attention_in_a_model_is_undeclared(tmp_path: Path) -> None:
    found = judged(tmp_path, None)
    assert found.outcome.value == "not_applicable", found.reason
    assert (found.reason or "").startswith("undeclared: the contract of zoo.models:SelfAttention")
    assert "`astrobio-audit spec FILE::NAME` prints one" in (found.reason or "")
