"""Classes that no forward of a model runs, and something else that the specs call does."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from audit.results import Result

from .written import HEAD, SPECS, by_spec, write

CLASSES = """
class Schedule(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("noise", torch.linspace(0, 1, 8))
    def at(self, step):
        return self.noise[step]

class OtherSchedule(nn.Module):
    def at(self, step):
        return step / 8

class Averaged(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.average = model
    def forward(self, x):
        return self.average(x)

class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
    def forward(self, y):
        return self.layer(y)

class Unused(Critic):
    def forward(self, y):
        return self.layer(y)
"""
ENTRY = """
SCHEDULE = models.Schedule()

def loss_by_schedule(output, inputs):
    return SCHEDULE.at(3) * loss(output, inputs)

def averaged(model, inputs, generator):
    return models.Averaged(model)(**inputs)

def broken(model, inputs, generator):
    raise ValueError("no sampler")

def criticised(model, batch):
    return models.Critic()(model(batch)).mean()

def build():
    return models.Right()

MODELS["right"] = {**entry_of("Right"), "loss": loss_by_schedule, "inference": {"averaged": averaged}}
TRAINING = {
    "right": {
        "class": "zoo.models:Right",
        "build": build,
        "batches": lambda seed, start: lambda step: torch.randn(4, 6, generator=torch.Generator().manual_seed(step)),
        "loss": criticised,
    },
}
"""


def reached(root: Path, specs: str) -> Mapping[str | None, Result]:
    files = {"zoo/models.py": HEAD + CLASSES, "zoo/specs.py": SPECS + specs}
    found = by_spec(write(root, files), only=("smoke.reached",))
    return {each.subject.qualname: each for results in found.values() for each in results}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str | None, Result]:
    return reached(tmp_path_factory.mktemp("beside"), ENTRY)


@pytest.mark.parametrize(
    ("name", "outcome", "said"),
    [
        ("Right", "passed", "ran in: right"),
        ("Schedule", "passed", "ran in: right (loss)"),
        ("Averaged", "passed", "ran in: right (inference of averaged)"),
        ("Critic", "passed", "ran in: TRAINING['right'] (loss)"),
        ("Unused", "failed", "no registered model runs this class"),
        ("OtherSchedule", "not_applicable", "it has no forward, its own or a base's, so that it is no model by itself"),
    ],
)
def test_what_the_specs_call_beside_forward_counts(
    judged: Mapping[str | None, Result], name: str, outcome: str, said: str
) -> None:
    result = judged[name]
    assert result.outcome == outcome, result.reason
    assert said in (result.reason or result.evidence.bound_origin or "")


@pytest.mark.slow
def test_where_a_function_of_the_specs_raises_it_is_not_known_what_it_runs(tmp_path: Path) -> None:
    found = reached(tmp_path, ENTRY.replace('"averaged": averaged', '"averaged": averaged, "broken": broken'))
    assert (found["Schedule"].outcome, found["Averaged"].outcome) == ("passed", "passed")
    for name in ("Unused", "OtherSchedule"):
        assert found[name].outcome == "error"
        assert "could not run: right (inference of broken)" in (found[name].reason or "")


@pytest.mark.slow
def test_a_loss_without_the_schedule_does_not_run_it(tmp_path: Path) -> None:
    found = reached(tmp_path, ENTRY.replace("SCHEDULE.at(3) * loss", "loss"))
    assert found["Schedule"].outcome == "not_applicable"
