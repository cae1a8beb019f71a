"""Outputs that are sparse, compared as the dense ones they stand for, and models that answer to every name."""

from collections.abc import Mapping

import pytest
import torch

from audit.probe.parts import class_of
from audit.results import Result

from .written import Model, results_of_models

CHECKS = (
    "smoke.forward", "smoke.determinism", "smoke.batch_rows", "smoke.overfits", "smoke.accumulation",
    "smoke.input_gradients",
)  # fmt: skip
DENSE = "['loss'] = lambda output, inputs: loss(output.to_dense(), inputs)"
ANSWERS = """return self.layer(x)
    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return None if name.startswith('__') else 'any'"""
CASES = {
    "sparse": (Model(forward="return self.layer(x).to_sparse()", entry=DENSE), ""),
    "sparse_rows": (Model(forward="return self.layer(x).to_sparse_csr()", entry=DENSE), ""),
    "not_finite": (Model(forward="return (self.layer(x) / 0).to_sparse()", entry=DENSE), "forward"),
    "random": (Model(forward="return (self.layer(x) + torch.rand(())).to_sparse()", entry=DENSE), "determinism"),
    "of_the_batch": (Model(forward="y = self.layer(x); return (y - y.mean(0)).to_sparse()", entry=DENSE), "batch_rows"),
    "answers_to_every_name": (Model(forward=ANSWERS), ""),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Result]]:
    models = {name: model for name, (model, _) in CASES.items()}
    found = results_of_models(tmp_path_factory.mktemp("sparse"), models, only=CHECKS)
    return {name: {each.check: each for each in found[name]} for name in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_sparse_outputs_are_judged_as_dense_ones(judged: Mapping[str, Mapping[str, Result]], name: str) -> None:
    wrong = CASES[name][1]
    outcomes = {check.removeprefix("smoke."): result.outcome.value for check, result in judged[name].items()}
    if wrong:
        assert outcomes[wrong] == "failed", outcomes
    else:
        assert set(outcomes.values()) == {"passed"}, outcomes


class _Answers(torch.nn.Module):
    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return 1


class _Holds(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._orig_mod = torch.nn.Linear(2, 2)


@pytest.mark.parametrize("made", [torch.nn.Linear, _Answers, _Holds])
def test_a_class_is_that_of_what_is_compiled_and_of_nothing_else(made: type[torch.nn.Module]) -> None:
    model = made(2, 2) if made is torch.nn.Linear else made()
    assert class_of(model) is made


def test_a_compiled_model_is_of_the_class_that_was_compiled() -> None:
    assert class_of(torch.compile(torch.nn.Linear(2, 2), backend="eager")) is torch.nn.Linear  # type: ignore[arg-type]
