"""What was found of a model is not found again until something changes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from audit.report.document import Report
from audit.session import Request, conduct
from audit.target import Target
from validation.smoke.plan import plan_smoke

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x)
"""
SPECS = """
import torch
from zoo.nets import Net

def inputs(batch_size, generator):
    return {"x": torch.randn(batch_size, 4, generator=generator)}

def loss(output, inputs):
    return output.square().mean()

MODELS = {"net": {"class": "zoo.nets:Net", "build": Net, "inputs": inputs, "loss": loss}}
"""


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Report]:
    monkeypatch.setenv("ASTROBIO_AUDIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "project" / "zoo").mkdir(parents=True)
    for name, text in (("__init__", ""), ("nets", MODEL), ("specs", SPECS)):
        (tmp_path / "project" / "zoo" / f"{name}.py").write_text(text)
    (tmp_path / "project" / "pyproject.toml").write_text(
        '[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\n'
    )

    def run() -> Report:
        request = Request(command="smoke", planners=[plan_smoke], cache=True, keeps_results=True)
        return conduct(Target.load(tmp_path / "project"), request)

    return run


def test_a_model_that_has_not_changed_is_taken_over_with_its_date(judged: Callable[[], Report], tmp_path: Path) -> None:
    def of_net(report: Report) -> dict[str, tuple[str, bool]]:
        results = [each for each in report.results if each.subject.name == "net"]
        return {each.check: (each.outcome.value, each.evidence.measured_at is not None) for each in results}

    first, second = of_net(judged()), of_net(judged())
    assert len(first) > 20
    assert not any(is_kept for _, is_kept in first.values())
    assert {check: outcome for check, (outcome, _) in second.items()} == {
        check: outcome for check, (outcome, _) in first.items()
    }
    # The compiler of torch starts processes, and nobody sees what these read.
    assert {check for check, (_, is_kept) in second.items() if not is_kept} == {"smoke.compile", "smoke.export"}
    nets = tmp_path / "project" / "zoo" / "nets.py"
    nets.write_text(nets.read_text().replace("self.layer(x)", "self.layer(x).detach()"))
    third = of_net(judged())
    assert third["smoke.backward"][0] == "failed"
    assert not any(is_kept for _, is_kept in third.values())
