"""How a batch of the specs becomes the arguments of a call."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn

from audit.probe.calling import StandIn, arguments_of, called


def model_of(forward: Callable[..., object]) -> nn.Module:
    model = nn.Module()
    model.forward = forward
    return model


@pytest.mark.parametrize(
    ("forward", "inputs", "ordered", "named"),
    [
        (lambda x, scale=1: None, {"x": 2, "scale": 3}, (), {"x": 2, "scale": 3}),
        (lambda x, /: None, {"x": 2}, (2,), {}),
        (lambda x, /, scale: None, {"scale": 3, "x": 2}, (2,), {"scale": 3}),
        (lambda x=1, y=2, /: None, {"y": 3}, (1, 3), {}),
        (lambda *features: None, {"features": [2, 3]}, (2, 3), {}),
        (lambda x, *features, scale=1: None, {"features": (2,), "x": 1, "scale": 4}, (1, 2), {"scale": 4}),
        (lambda x, factor=5, *features: None, {"x": 1, "features": [2]}, (1, 5, 2), {}),
        (lambda *features: None, {"features": []}, (), {}),
        (lambda **named: None, {"named": [2]}, (), {"named": [2]}),
        # What no call can take goes by name, for Python to say what is wrong.
        (lambda *features: None, {"features": 2}, (), {"features": 2}),
        (lambda x, /, *features: None, {"features": [2]}, (), {"features": [2]}),
        (lambda *features: None, {"x": 2}, (), {"x": 2}),
    ],
)
def test_what_takes_no_name_is_given_in_order(
    forward: Callable[..., object], inputs: Mapping[str, object], ordered: tuple[object, ...], named: dict[str, object]
) -> None:
    before = dict(inputs)
    assert arguments_of(model_of(forward), inputs) == (ordered, named)
    assert inputs == before


def test_a_stand_in_is_called_as_the_model_that_it_stands_for() -> None:
    class Recorded(StandIn):
        def forward(self, *arguments: object, **named: object) -> object:
            return self.__dict__["stands_for"](*arguments, **named)

    model = model_of(lambda x, /: x + 1)
    assert called(Recorded(model), {"x": 2}) == called(Recorded(Recorded(model)), {"x": 2}) == 3


def test_a_forward_that_says_nothing_of_its_arguments_is_called_by_name() -> None:
    model = model_of(torch.relu)
    assert arguments_of(model, {"input": 2}) == ((), {"input": 2})
