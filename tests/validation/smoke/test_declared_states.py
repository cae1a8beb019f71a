"""What an entry of the specs says of a model besides its class: its device, and keys of the wrong kind."""

from pathlib import Path

import pytest
import torch

from .written import Model, results_of_models

PASSED, ERROR, SKIPPED = "passed", "error", "skipped"


def test_a_model_that_asks_for_a_gpu_waits_for_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    models = {"on_gpu": Model(entry="['device'] = 'cuda'"), "anywhere": Model()}
    found = results_of_models(tmp_path_factory.mktemp("device"), models, only=("smoke.device", "smoke.build"))
    on_gpu = {result.check: result for result in found["on_gpu"]}
    there = torch.cuda.is_available()
    assert on_gpu["smoke.device"].outcome == (PASSED if there else SKIPPED)
    assert on_gpu["smoke.build"].outcome == (PASSED if there else SKIPPED)
    assert there or "its spec asks for cuda, and torch" in (on_gpu["smoke.device"].reason or "")
    assert [result.check for result in found["anywhere"]] == ["smoke.build"]
    (whole,) = (result for result in found["zoo"] if result.check == "smoke.device")
    assert (whole.outcome, whole.evidence.measured) == (PASSED, 0)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("['initial_loss'] = 'log 2'", "'initial_loss' must be a finite number"),
        ("['initial_loss'] = float('nan')", "'initial_loss' must be a finite number"),
        ("['meta'] = 1", "'meta' must be True or False"),
        ("['device'] = 'gpu'", "'device' must be one of 'cpu', 'cuda'"),
    ],
)
def test_a_key_of_the_wrong_kind_is_named(tmp_path_factory: pytest.TempPathFactory, entry: str, problem: str) -> None:
    found = results_of_models(tmp_path_factory.mktemp("entry"), {"wrong": Model(entry=entry)}, only=("smoke.build",))
    assert [result.outcome for result in found["wrong"]] == [ERROR]
    assert problem in (found["wrong"][0].reason or "")


def test_an_entry_that_cannot_be_used_is_one_error(tmp_path: Path) -> None:
    models = {"right": Model(), "wrong": Model(entry="['meta'] = 1")}
    found = results_of_models(tmp_path, models, only=("smoke",))
    assert not any(result.outcome == ERROR for result in found["right"])
    assert [result.check for result in found["wrong"] if result.outcome == ERROR] == ["smoke.build"]
    skipped = {result.check: result.reason or "" for result in found["wrong"] if result.outcome == SKIPPED}
    for check in ("smoke.compile", "smoke.export", "smoke.meta_build"):
        assert "'meta' must be True or False" in skipped[check], check
