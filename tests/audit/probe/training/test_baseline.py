"""The best constants are those that are known, whatever form an output has."""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from audit.probe.training.baseline import best_constants
from audit.probe.training.problem import Problem

TARGETS = [torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [6.0]])]


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


class Known(Problem):
    """A model that returns an output of some form, and a squared error whose best constant is the mean, 3."""

    def __init__(self, form: Any, read: Any) -> None:
        super().__init__({}, 0)
        self.form, self.read = form, read

    def build(self) -> nn.Module:
        form = self.form

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = nn.Linear(1, 1)

            def forward(self, x: Tensor) -> Any:
                return form(self.layer(x))

        return Net()

    def batch(self, step: int) -> object:
        return TARGETS[step]

    def loss(self, model: nn.Module, batch: object) -> Tensor:
        assert isinstance(batch, Tensor)
        return (self.read(model(batch)) - batch).square().mean()

    def held_out(self, steps: int) -> list[object]:
        return []

    def compared(self, steps: int) -> list[object]:
        return list(TARGETS)


@pytest.mark.parametrize(
    ("form", "read"),
    [
        (lambda y: y, lambda output: output),
        (lambda y: {"y": y, "n": 3}, lambda output: output["y"]),
        (lambda y: (y, None), lambda output: output[0]),
        (lambda y: Pair(y, y), lambda output: output.second),
        (lambda y: SimpleNamespace(y=[y]), lambda output: output.y[0]),
    ],
)
def test_the_mean_is_the_best_constant_of_a_squared_error(form: Any, read: Any) -> None:
    problem = Known(form, read)
    torch.manual_seed(0)
    found = best_constants(problem, problem.build(), list(TARGETS))
    # (9 + 1) / 2 and (1 + 9) / 2.
    assert found == pytest.approx([5.0, 5.0], rel=1e-5)


def test_what_the_model_returns_beside_its_prediction_stays() -> None:
    """A target that is drawn inside the model depends on no weight, and is none of the constants."""
    problem = Known(lambda y: {"y": y, "shift": torch.full((2, 1), 100.0)}, lambda o: o["y"] + o["shift"])
    torch.manual_seed(0)
    assert best_constants(problem, problem.build(), list(TARGETS)) == pytest.approx([5.0, 5.0], rel=1e-5)


def test_a_loss_that_the_model_returns_itself_has_no_constant() -> None:
    class OwnLoss(Known):
        def loss(self, model: nn.Module, batch: object) -> Tensor:
            output = model(batch)
            assert isinstance(output, Mapping)
            loss: Tensor = output["loss"]
            return loss

    problem = OwnLoss(lambda y: {"loss": y.square().mean()}, None)
    assert best_constants(problem, problem.build(), list(TARGETS)) is None


def test_the_constant_does_not_know_the_sample() -> None:
    """With one constant for each sample the error would be 0."""
    problem = Known(lambda y: y, lambda output: output)
    found = best_constants(problem, problem.build(), list(TARGETS))
    assert found is not None
    assert min(found) > 1.0


class Classes(Known):
    """A model that returns two numbers for each sample, and the negative of the one of its class as the loss."""

    def build(self) -> nn.Module:
        form = self.form

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = nn.Linear(1, 2)

            def forward(self, x: Tensor) -> Any:
                return form(self.layer(x))

        return Net()

    def loss(self, model: nn.Module, batch: object) -> Tensor:
        assert isinstance(batch, Tensor)
        picked = self.read(model(batch)).gather(1, batch.long())
        return -picked.mean()


# Three samples of four are of class 0.
OF_CLASSES = [torch.tensor([[0.0], [0.0]]), torch.tensor([[0.0], [1.0]])]
ENTROPY = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))


@pytest.mark.parametrize(
    ("form", "read"),
    [
        (lambda y: y.log_softmax(-1), lambda output: output),
        (lambda y: y.softmax(-1), lambda output: output.log()),
        (lambda y: torch.stack((y.log_softmax(-1), 0 * y), 1), lambda output: output[:, 0]),
        (lambda y: {"logits": y}, lambda output: output["logits"].log_softmax(-1)),
    ],
)
def test_the_best_distribution_is_that_of_the_classes(form: Any, read: Any) -> None:
    problem = Classes(form, read)
    torch.manual_seed(0)
    found = best_constants(problem, problem.build(), list(OF_CLASSES))
    assert found is not None
    assert sum(found) / 2 == pytest.approx(ENTROPY, rel=1e-4)


def test_what_is_no_distribution_can_be_brought_ever_lower() -> None:
    """One edit from the above: the negative of a logit has no least value."""
    problem = Classes(lambda y: y, lambda output: output)
    torch.manual_seed(0)
    found = best_constants(problem, problem.build(), list(OF_CLASSES))
    assert found is not None
    assert min(found) < -1e3
