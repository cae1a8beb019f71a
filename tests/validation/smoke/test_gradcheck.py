"""Derivatives where something is detached, on purpose or not, and where labels are cut from the inputs."""

from typing import Any, NamedTuple

import pytest

from audit.results import Result
from validation.smoke.checks.gradcheck import _judged

from .behaving import DOUBLED
from .written import Model, results_of_models

HELPERS = (
    DOUBLED
    + """
class Right(torch.autograd.Function):
    @staticmethod
    def forward(context, y):
        context.save_for_backward(y)
        return torch.sigmoid(y) * y
    @staticmethod
    def backward(context, gradient):
        y, = context.saved_tensors
        s = torch.sigmoid(y)
        return gradient * s * (1 + y * (1 - s))

class Nothing(torch.autograd.Function):
    @staticmethod
    def forward(context, y):
        return y * 2 + y.sin()
    @staticmethod
    def backward(context, gradient):
        return torch.zeros_like(gradient)

class Coarse(torch.autograd.Function):
    @staticmethod
    def forward(context, y):
        context.save_for_backward(y)
        return torch.sin((y * 2).float()).to(y.dtype)
    @staticmethod
    def backward(context, gradient):
        y, = context.saved_tensors
        return gradient * 2 * torch.cos(y * 2)

def mask_of(y):
    with torch.no_grad():
        kept = torch.zeros_like(y)
        kept[:, :1].add_(1.0)
        return kept

def spread(y):
    with torch.no_grad():
        deviation, mean = torch.std_mean(y, 1, keepdim=True)
    return (y - mean) / (deviation + 1)

def largest(y):
    with torch.no_grad():
        found, _ = y.max(dim=1, keepdim=True)
    return y - found

def without_gradient(function, y):
    with torch.no_grad():
        return function(y)
"""
)


class Case(NamedTuple):
    """Forward, more of the entry, the outcome, and a part of what is said: of the reason, the fix or the origin."""

    forward: str
    entry: str
    outcome: str
    said: str = ""


MEANT = "['stops_gradients'] = True"
DECLARE = "declare `'stops_gradients': True` where that is meant"
HELD = "with what is detached on purpose held as it was"
STRAIGHT_THROUGH = "y = self.layer(x); return y + (torch.tanh(2 * y) - y).detach()"
LABELS = (
    ".update(loss=lambda output, inputs: (output - (inputs['x'][:, :2] {})).square().mean()"
    " + torch.tensor(0.0, dtype=output.dtype))"
)
WHOLE = (
    ".update(inputs=lambda batch_size, generator: {'x': torch.cat((torch.randn(batch_size, 4, generator=generator), "
    "torch.ones(batch_size, 2)), 1)})"
)
CASES = {
    "plain": Case("return self.layer(x)", "", "passed", "of 4 directions"),
    "straight_through": Case(STRAIGHT_THROUGH, "", "failed", DECLARE),
    "straight_through_and_meant": Case(STRAIGHT_THROUGH, MEANT, "passed", HELD),
    "normalised_by_a_constant": Case(
        "y = self.layer(x); return y / without_gradient(lambda z: z.square().mean().sqrt(), y)", "", "failed", DECLARE
    ),
    "normalised_by_a_constant_and_meant": Case(
        "y = self.layer(x); return y / without_gradient(lambda z: z.square().mean().sqrt(), y)", MEANT, "passed", HELD
    ),
    "data_of_its_output": Case("y = self.layer(x); return y * y.data", "", "failed", DECLARE),
    "data_of_its_output_and_meant": Case("y = self.layer(x); return y * y.data", MEANT, "passed", HELD),
    "wrong_backward": Case("return Doubled.apply(self.layer(x))", "", "failed", "torch.autograd.gradcheck"),
    "wrong_backward_beside_what_is_meant": Case(
        "y = Doubled.apply(self.layer(x)); return y + (torch.tanh(y) - y).detach()", MEANT, "failed",
        "torch.autograd.gradcheck",
    ),
    "right_backward_beside_what_is_meant": Case(
        "y = Right.apply(self.layer(x)); return y + (torch.tanh(y) - y).detach()", MEANT, "passed", HELD
    ),
    "no_backward": Case("y = self.layer(x); return y + Nothing.apply(y)", "", "failed", "torch.autograd.gradcheck"),
    "no_backward_and_called_meant": Case("y = self.layer(x); return y + Nothing.apply(y)", MEANT, "failed"),
    "function_without_gradient": Case(
        "y = self.layer(x); return y * without_gradient(Right.apply, y)", MEANT, "passed", HELD
    ),
    "cut_in_a_function": Case("return Coarse.apply(self.layer(x))", "", "not_applicable", "become float32"),
    "cut_without_gradient": Case(
        "y = self.layer(x); return y * without_gradient(lambda z: z.float().tanh(), y)", MEANT, "passed", HELD
    ),
    "several_results_without_gradient": Case("return spread(self.layer(x))", MEANT, "passed", HELD),
    "several_results_not_meant": Case("return spread(self.layer(x))", "", "failed", DECLARE),
    "named_results_without_gradient": Case("return largest(self.layer(x))", MEANT, "passed", HELD),
    "written_through_a_view": Case("y = self.layer(x); return y * mask_of(y)", MEANT, "passed", HELD),
    "written_through_a_view_unmeant": Case("y = self.layer(x); return y * mask_of(y)", "", "passed"),
    "detached_in_place": Case("y = self.layer(x); return y + torch.tanh(2 * y).detach_()", MEANT, "passed", HELD),
    "a_number_of_its_output": Case("y = self.layer(x); return y / y.norm().item()", MEANT, "passed", HELD),
    "a_number_of_its_output_not_meant": Case("y = self.layer(x); return y / float(y.norm())", "", "failed", DECLARE),
    "labels_that_are_cut": Case("return self.layer(x)", LABELS.format(".float()"), "passed",
        "inputs are not judged, for they are cut to float32"),
    "labels_that_are_cut_and_a_wrong_backward": Case(
        "return Doubled.apply(self.layer(x))", LABELS.format(".float()"), "failed", "along the parameters"
    ),
    "labels_that_are_compared": Case("return self.layer(x)", LABELS.format("> 0).float() * 2 - (1"), "passed"),
    # Two of the six numbers of each sample are whole: degrees of a graph, or a mask.
    "at_the_bound_of_a_clamp": Case(
        "return self.layer(x) / x[:, 4:].clamp(min=1)", WHOLE, "passed", "where it has a kink"
    ),
    "at_the_bound_of_a_clamp_and_a_wrong_backward": Case(
        "return Doubled.apply(self.layer(x)) / x[:, 4:].clamp(min=1)", WHOLE, "failed", "torch.autograd.gradcheck"
    ),
    "at_a_bound_of_what_takes_nothing_else": Case(
        "assert (x[:, 4:] - 1).abs().max() < 2e-3; return self.layer(x) / x[:, 4:].clamp(min=1)", WHOLE, "error",
        "the loss has a kink at these very inputs",
    ),
    "cut_on_its_way": Case("return self.layer(x).float()", "", "not_applicable", "become float32"),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """The one result of each case."""
    models = {name: Model(forward=case.forward, entry=case.entry) for name, case in CASES.items()}
    results = results_of_models(
        tmp_path_factory.mktemp("derivatives"), models, only=("smoke.gradcheck",), helpers=HELPERS
    )
    return {name: each for name in CASES for each in results[name] if each.check == "smoke.gradcheck"}


def test_the_loss_is_rounded_where_every_draw_gives_the_same() -> None:
    # Of a right nn.GRU: halving the step changes nothing, and the loss is off by half a unit in its last place.
    direction = {
        "of": "inputs",
        "slope": 1.0,
        "steps": [2e-6, 1e-6],
        "differences": [1.0 + 1e-11, 1.0 + 1e-11],
        "bends": [0.0, 0.0],
    }
    reply: dict[str, Any] = {"inner": "float64", "moved": 0.0, "loss": 0.5, "unmoved": None, "directions": [direction]}
    assert _judged(reply, stops=False).outcome.value == "passed"
    assert _judged(reply | {"loss": 1e-6}, stops=False).outcome.value == "failed"


@pytest.mark.parametrize("name", CASES)
def test_what_is_stopped_is_held_where_that_is_meant(found: dict[str, Result], name: str) -> None:
    case, result = CASES[name], found[name]
    said = " ".join(filter(None, (result.reason, result.fix, result.evidence.bound_origin)))
    assert (result.outcome.value, case.said in said) == (case.outcome, True), said
