"""What is concluded from the losses of a model and of the best constants."""

from collections.abc import Callable

import pytest

from audit.report.document import Report
from validation.smoke.checks import overfits
from validation.training.checks import learns
from validation.training.trainee import FirstRun


def first_run(*losses: float) -> FirstRun:
    return FirstRun(losses=losses, seconds=(), checkpoints=(), digests={}, validation=(), memory=(), ended=None)


FALLING = first_run(*(1.0 - index / 2000 for index in range(1000)))
FALLING_BELOW_ZERO = first_run(*(1.0 - index / 500 for index in range(1000)))


@pytest.mark.parametrize(
    ("model", "constant", "first", "outcome", "said"),
    [
        ([0.5, 0.51], [1.0, 1.01], FALLING, "passed", ""),
        ([1.0, 1.01], [0.5, 0.51], FALLING, "failed", "is not below that of constants"),
        ([2.3e-5, 2.3e-5], [0.0, 0.0], FALLING, "error", "a constant output minimises this loss"),
        ([2.3e-5, 2.3e-5], [1e-12, 1e-12], FALLING, "error", "a constant output minimises this loss"),
        ([2.3e-5, 2.3e-5], [1e-9, 1e-9], FALLING, "failed", "is not below that of constants"),
        ([2.3e-5, 2.3e-5], [0.0, 0.0], FALLING_BELOW_ZERO, "failed", "is not below that of constants"),
        ([1e9, 1e9], [0.5, 0.51], FALLING, "failed", "is not below that of constants"),
        ([-1.0, -1.01], [0.0, 0.0], FALLING_BELOW_ZERO, "passed", ""),
        ([-1.0, -1.01], [-2e38, -2e38], FALLING_BELOW_ZERO, "error", "and could bring it lower still"),
    ],
    ids=["better", "worse", "zero", "rounded", "small", "below zero", "diverged", "better below zero", "boundless"],
)
def test_a_model_is_compared_with_constants(
    model: list[float], constant: list[float], first: FirstRun, outcome: str, said: str
) -> None:
    judgement = learns._compared(model, constant, first)
    assert judgement.outcome == outcome, judgement.reason
    assert said in (judgement.reason or "")
    assert ("replace it by the loss" in (judgement.fix or "")) == (outcome == "error")


@pytest.mark.parametrize(
    ("losses", "chance", "outcome"),
    [
        ([1.0, 0.5], [0.9], "passed"),
        ([1.0, 0.9], [0.5], "failed"),
        ([0.1, 1e7], [1e8], "failed"),
        ([1.0, 0.9], [0.0], "error"),
        ([0.0, 0.0], [0.0], "error"),
        ([0.0, -1.0, 0.5], [0.0], "failed"),
    ],
    ids=["learns", "by chance", "diverges", "zero by chance", "zero", "below zero"],
)
def test_overfitting_is_no_fault_where_the_loss_is_as_small_as_it_can_be(
    losses: list[float], chance: list[float], outcome: str
) -> None:
    norms = [1.0, *[0.5] * (len(losses) - 1)]
    judgement = overfits._judged(losses, norms, None, chance, "steps")
    assert judgement.outcome == outcome, judgement.reason
    assert ("replace it by the loss" in (judgement.fix or "")) == (outcome == "error")


def test_a_loss_that_is_zero_from_the_beginning_is_no_fault_of_the_model(
    trained: Callable[..., Report], usual_specs: str
) -> None:
    placeholder = "def loss(output, inputs):\n    return output.square().mean()\n"
    nothing = "def loss(output, inputs):\n    return 0 * output.square().mean()\n"
    for loss, said in ((placeholder, "a constant output minimises"), (nothing, "nothing to learn")):
        specs = usual_specs.replace("\nMODELS = {", f"\n{loss}\nMODELS = {{")
        report = trained(subjects=["Right"], only=["train.learns"], specs=specs)
        (found,) = [each for each in report.results if each.check == "train.learns"]
        assert (found.outcome, said in (found.reason or "")) == ("error", True), found.reason


@pytest.mark.parametrize(
    ("initial_loss", "outcome", "said"),
    [
        ("2.0", "passed", "of the declared `initial_loss`"),
        ("None", "error", "where the model computes it, declare `initial_loss`"),
        ("0.001", "error", "its loss, "),
    ],
)
def test_a_model_that_computes_its_own_loss_in_training(
    trained: Callable[..., Report], initial_loss: str, outcome: str, said: str
) -> None:
    specs = DETECTOR.replace("INITIAL", f"'initial_loss': {initial_loss}," if initial_loss != "None" else "")
    report = trained(subjects=["Detector"], only=["train.run", "train.learns"], specs=specs, trains=False, steps=40)
    (result,) = [each for each in report.results if each.check == "train.learns"]
    told = " ".join(filter(None, (result.reason, result.fix, result.evidence.bound_origin)))
    assert (result.outcome.value, said in told) == (outcome, True), told


DETECTOR = """
import torch
from torch import nn
from zoo import models

MODELS = {
    "Detector": {
        "class": "zoo.models:Detector",
        "build": models.Detector,
        "inputs": lambda batch_size, generator: {"x": torch.randn(batch_size, 6, generator=generator)},
        "loss": lambda output, inputs: output["loss"],
        "differs_in_training": True, INITIAL
    }
}
"""
