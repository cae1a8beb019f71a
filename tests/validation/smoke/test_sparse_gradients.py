"""Embeddings whose gradients are sparse, beside parameters whose gradients are small and dense."""

from collections.abc import Mapping

import pytest
import torch

from audit.probe.adam import Adam
from audit.results import Result

from .written import Model, results_of_models

CHECKS = ("smoke.optimizer_step", "smoke.overfits")
TABLE = "self.table = nn.Embedding(9, 2, sparse={}); self.small = nn.Parameter(torch.ones(2))"
# As the bias of keys does, `small` gets a gradient that a plain step of 1e-3 would not show in float32.
ELSE = "return self.layer(x) + self.table(x[:, 0].abs().long().clamp(max=8)) + 1e-6 * self.small"
CASES = {
    "dense": (Model(TABLE.format("False"), ELSE), "passed", ""),
    "sparse": (Model(TABLE.format("True"), ELSE), "passed", ""),
    "sparse_and_overwritten": (
        Model(TABLE.format("True"), f"self.table.weight.data.fill_(1.0); {ELSE}"), "failed", "weight did not change",
    ),
    "sparse_and_small_overwritten": (
        Model(TABLE.format("True"), f"self.small.data.fill_(1.0); {ELSE}"), "failed", "small did not change",
    ),
    "sparse_without_a_gradient": (
        Model(TABLE.format("True"), ELSE.replace("self.small", "self.small.detach()")), "skipped", "smoke.backward",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Result]]:
    models = {name: model for name, (model, *_) in CASES.items()}
    found = results_of_models(tmp_path_factory.mktemp("sparse"), models, only=CHECKS)
    return {name: {each.check: each for each in found[name]} for name in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_parameter_beside_a_sparse_gradient_moves(judged: Mapping[str, Mapping[str, Result]], name: str) -> None:
    _, outcome, said = CASES[name]
    result = judged[name]["smoke.optimizer_step"]
    assert result.outcome == outcome, result.reason
    assert said in (result.reason or "")


@pytest.mark.slow
def test_a_model_with_sparse_gradients_learns_a_batch(judged: Mapping[str, Mapping[str, Result]]) -> None:
    assert judged["sparse"]["smoke.overfits"].outcome == "passed", judged["sparse"]["smoke.overfits"].reason


def test_a_first_step_has_the_size_of_the_learning_rate_and_gradients_stay() -> None:
    table, small = torch.nn.Parameter(torch.ones(4, 2)), torch.nn.Parameter(torch.ones(2))
    optimizer = Adam([table, small], 1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        rows = torch.nn.functional.embedding(torch.tensor([1]), table, sparse=True)
        (rows.sum() + 1e-5 * small.sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert table.grad is not None
    assert table.grad.is_sparse
    assert small.grad is not None
    expected = torch.ones(4, 2)
    expected[1] -= 2e-3
    torch.testing.assert_close(table.detach(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(small.detach(), torch.full((2,), 1 - 2e-3), rtol=0, atol=1e-5)
