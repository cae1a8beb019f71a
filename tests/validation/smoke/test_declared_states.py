"""What an entry of the specs says of a model besides its class: its device, and keys of the wrong kind."""

from pathlib import Path

import pytest
import torch

from audit.session import Request, conduct
from validation.training.plan import plan_training

from .written import Model, results_of_models, write

PASSED, ERROR, SKIPPED = "passed", "error", "skipped"


def test_a_model_that_asks_for_a_gpu_waits_for_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    models = {"on_gpu": Model(entry="['device'] = 'cuda'"), "anywhere": Model()}
    found = results_of_models(
        tmp_path_factory.mktemp("device"), models, only=("smoke.device", "smoke.build", "smoke.compile", "smoke.export")
    )
    on_gpu = {result.check: result for result in found["on_gpu"]}
    there = torch.cuda.is_available()
    assert on_gpu["smoke.device"].outcome == (PASSED if there else SKIPPED)
    assert on_gpu["smoke.build"].outcome == (PASSED if there else SKIPPED)
    if not there:
        assert on_gpu["smoke.compile"].outcome == on_gpu["smoke.export"].outcome == SKIPPED
        assert "needs smoke.device to pass" in (on_gpu["smoke.export"].reason or "")
    assert there or "its spec asks for cuda, and torch" in (on_gpu["smoke.device"].reason or "")
    assert {result.outcome for result in found["anywhere"]} == {PASSED}
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


SMALL = "['class'] = 'zoo.models:small'; entry['build'] = models.small; entry"
PROMISED = Model(entry="['compiles'] = entry['exports'] = True")


@pytest.mark.parametrize("key", ["compiles", "exports"])
def test_what_is_left_to_another_entry_has_to_be_judged_there(tmp_path: Path, key: str) -> None:
    other = "exports" if key == "compiles" else "compiles"
    models = {
        "small": PROMISED,
        "unsure": Model(entry=f"{SMALL}['{other}'] = True"),
        "large": Model(entry=f"{SMALL}['{key}'] = 'small'"),
        "misspelt": Model(entry=f"{SMALL}['{key}'] = 'smal'"),
        "elsewhere": Model(entry=f"{SMALL}['{key}'] = 'nothing_like_it'"),
        "itself": Model(entry=f"{SMALL}['{key}'] = 'itself'"),
        "relying": Model(entry=f"{SMALL}['{key}'] = 'unsure'"),
        "chained": Model(entry=f"{SMALL}['{key}'] = 'large'"),
        "leaning": Model(entry=f"{SMALL}['{key}'] = 'broken'"),
        "broken": Model(entry=f"{SMALL}['meta'] = 1"),
        "stranger": Model(entry=f"['{key}'] = 'small'"),
    }
    found = results_of_models(tmp_path, models, only=("smoke.build", "smoke.declared"))
    problems = {
        name: result.reason or "" for name, results in found.items() for result in results if result.outcome == ERROR
    }
    assert [name for name in models if name not in problems] == ["small", "unsure", "large"]
    assert f"{key!r} names 'smal', which MODELS does not have (did you mean 'small'?)" in problems["misspelt"]
    assert f"{key!r} names 'nothing_like_it', which MODELS does not have" in problems["elsewhere"]
    assert f"{key!r} names the entry itself" in problems["itself"]
    for name, named in (("relying", "unsure"), ("chained", "large")):
        assert f"{key!r} names {named!r}, which has to declare {key!r}: True and does not" in problems[name]
    assert f"{key!r} names 'small', which is of another class, zoo.models:small" in problems["stranger"]
    assert f"{key!r} names 'broken', whose entry cannot be used: 'meta' must be" in problems["leaning"]
    assert "MODELS['broken']: " in problems["zoo"]  # smoke.declared


@pytest.mark.parametrize("exports", ["False", "'small'"])
def test_an_export_that_is_not_judged_promises_no_other_batch(tmp_path: Path, exports: str) -> None:
    models = {
        "small": Model(entry="['exports'] = entry['dynamic_batch'] = True"),
        "large": Model(entry=f"{SMALL}['exports'] = {exports}; entry['dynamic_batch'] = True"),
    }
    found = results_of_models(tmp_path, models, only=("smoke.build",))
    assert [result.outcome for result in found["small"]] == [PASSED]
    assert [result.outcome for result in found["large"]] == [ERROR]
    assert f"'dynamic_batch' is about the export, and 'exports' is {exports}" in (found["large"][0].reason or "")


def test_a_name_that_is_no_text_is_an_error_of_its_entry_alone(tmp_path: Path) -> None:
    models = {"right": Model(), "other": Model(entry="['meta'] = True; MODELS[3] = MODELS['\\udcff'] = entry")}
    found = results_of_models(tmp_path, models, only=("smoke.build",))
    outcomes = {name: [result.outcome for result in results] for name, results in found.items()}
    assert outcomes == {"right": [PASSED], "other": [PASSED], "3": [ERROR], r"'\udcff'": [ERROR]}
    assert "an entry must be named by text, not by 3" in (found["3"][0].reason or "")


def test_a_name_that_is_no_text_is_an_error_of_its_training_alone(tmp_path: Path) -> None:
    specs = "MODELS = {}\nATTENTION = {}\nTRAINING = {3: {}}\n"
    target = write(tmp_path, {"zoo/specs.py": specs})
    report = conduct(target, Request(command="train", planners=[plan_training], only=("train.declared",)))
    assert [result.outcome for result in report.results] == [ERROR]
    assert "TRAINING['3']: an entry must be named by text, not by 3" in (report.results[0].reason or "")
