"""Functions of the specs that do not take what they are given: an error, and nothing said of the model."""

from collections.abc import Mapping

import pytest

from audit.results import Result

from .written import Model, results_of_models

WIDE = """
class Wide(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, 2)
    def forward(self, x):
        return self.layer(x)

class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear()
    def forward(self, x):
        return self.layer(x)
"""
OF_WIDE = ".update({{'class': 'zoo.models:Wide', 'build': {}}})"
CASES = {
    "a_build_with_what_it_needs": (OF_WIDE.format("lambda: models.Wide(6)"), "build", "passed", ""),
    "a_class_in_its_place": (OF_WIDE.format("models.Wide"), "build", "error", "'width'"),
    "a_build_that_wants_the_width": (OF_WIDE.format("lambda width: models.Wide(width)"), "build", "error", "'width'"),
    "a_class_that_cannot_be_built": (
        ".update({'class': 'zoo.models:Deep', 'build': models.Deep})", "build", "failed", "in_features",
    ),
    "inputs_without_a_generator": (
        ".update(inputs=lambda batch_size: {'x': torch.randn(batch_size, 6)})", "forward", "error",
        "takes 1 positional argument",
    ),
    "a_loss_of_the_output_alone": (
        ".update(loss=lambda output: output.sum())", "backward", "error", "takes 1 positional argument",
    ),
    "a_loss_that_calls_wrongly": (
        ".update(loss=lambda output, inputs: nn.MSELoss()(output))", "backward", "failed", "missing 1 required",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Result]]:
    models = {name: Model(entry=entry.replace("nn.", "torch.nn.")) for name, (entry, *_) in CASES.items()}
    checks = ("smoke.build", "smoke.forward", "smoke.backward")
    return results_of_models(tmp_path_factory.mktemp("calls"), models, only=checks, helpers=WIDE)


@pytest.mark.parametrize("name", CASES)
def test_whose_fault_a_refused_call_is(judged: Mapping[str, list[Result]], name: str) -> None:
    _, check, outcome, said = CASES[name]
    found = next(each for each in judged[name] if each.check == f"smoke.{check}")
    assert found.outcome == outcome, found.reason
    assert said in (found.reason or "")
    assert ("inputs(batch_size, generator)" in (found.fix or "")) is (outcome == "error")
