"""Twins and resumed runs as they are judged on a GPU: there, and by the same procedures on a CPU."""

import math
from collections.abc import Callable, Iterator, Mapping

import pytest
import torch

from audit.report.document import Report
from audit.results import Outcome, Result
from audit.target import Target
from validation.training.again import nearest

FLAT = [1.0, 1.0, 1.0]
EPS = 2.0**-23
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
NAMES = ("Right", "Noisy", "Undetermined", "Unseeded", "Forgetful")


def test_the_bound_is_three_times_the_spread_until_the_step() -> None:
    nudged = [[1.0, 1.01, 1.0], [1.0, 1.0, 1.0]]
    near = nearest(FLAT, [1.0, 1.0, 1.02], nudged, checkpoint=100)
    assert (near.step, near.share < 1) == (103, True)
    assert near.bound == pytest.approx(3 * 0.02 + 2 * EPS)
    assert nearest(FLAT, [1.0, 1.0, 1.031], [[1.0, 1.0, 1.031]], checkpoint=0).share > 1


def test_a_step_without_spread_has_the_rounding_of_its_loss() -> None:
    assert nearest([1.0], [1.0 + 2 * EPS], [[1.0 + 2 * EPS]], checkpoint=0).share == pytest.approx(1)
    assert nearest([1.0], [1.0 + 3 * EPS], [[1.0 + 3 * EPS]], checkpoint=0).share > 1


def test_what_is_no_number_is_as_far_as_can_be() -> None:
    assert nearest([1.0], [math.nan], [[1.0]], checkpoint=0).share == math.inf


def test_a_checkpoint_of_the_last_step_has_nothing_behind_it() -> None:
    assert nearest([], [], [[]], checkpoint=40).share == 0


@pytest.fixture(scope="module", params=["a CPU in its place", pytest.param("cuda", marks=NO_GPU)])
def report(request: pytest.FixtureRequest, trained: Callable[..., Report]) -> Iterator[Report]:
    only = ("train.run", "train.twin", "train.resume", "train.memory")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "cuda":
            device = "cuda"
        else:
            device = "cpu"
            patch.setattr(Target, "on_gpu", True)  # the auditor asks as of a GPU, the target's process has none
        yield trained(subjects=NAMES, only=only, trains=False, specs=SPECS, steps=48, device=device)


SPECS = """
import torch
from zoo import models

def inputs(batch_size, generator):
    return {"x": torch.randn(batch_size, 6, generator=generator)}

def loss(output, inputs):
    return (output - inputs["x"][:, :2]).square().mean()

MODELS = {
    name: {"class": f"zoo.models:{name}", "build": getattr(models, name), "inputs": inputs, "loss": loss}
    for name in NAMES
}
"""


@pytest.fixture(scope="module")
def of(report: Report) -> Callable[[str], Mapping[str, Result]]:
    return lambda name: {r.check.partition(".")[2]: r for r in report.results if r.subject.name == name}


@pytest.mark.slow
def test_a_right_model_repeats_to_the_bit_and_goes_on_within_rounding(of: Callable) -> None:
    for name in ("Right", "Noisy"):
        twin, resume = of(name)["twin"], of(name)["resume"]
        assert (twin.outcome, resume.outcome) == (Outcome.PASSED, Outcome.PASSED), (twin.reason, resume.reason)
        assert twin.evidence.bound == 0
        assert "deterministic algorithms" in (twin.evidence.bound_origin or "")
        assert "3 x the furthest" in (resume.evidence.bound_origin or "")
        assert 0 < float(str(resume.evidence.bound)) < 1e-3


@pytest.mark.slow
def test_where_there_is_no_deterministic_algorithm_rounding_is_allowed_for(of: Callable) -> None:
    twin = of("Undetermined")["twin"]
    assert twin.outcome is Outcome.PASSED, twin.reason
    assert "it does not have a deterministic implementation" in (twin.evidence.bound_origin or "")


@pytest.mark.slow
def test_what_no_seed_reaches_and_what_no_checkpoint_holds_fail(of: Callable) -> None:
    assert of("Unseeded")["twin"].outcome is Outcome.FAILED
    assert "another loss at step 1" in (of("Unseeded")["twin"].reason or "")
    forgetful = of("Forgetful")
    assert forgetful["twin"].outcome is Outcome.PASSED
    assert forgetful["resume"].outcome is Outcome.FAILED
    assert "from the checkpoint of step" in (forgetful["resume"].reason or "")
