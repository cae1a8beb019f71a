import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from astrobio.serving.loaded_run import Predictor, TrainedModel, load_trained
from astrobio.training.errors import RunFolderError
from astrobio.training.tasks import create_task

EARTH = torch.tensor([[1.0, 23.446, 0.016724, 282.04, 330.0, 0.55, 50.0]])


def no_report(line: str) -> None:
    raise AssertionError(line)


def test_the_weights_are_those_of_the_newest_checkpoint(run_dir: Path) -> None:
    state = torch.get_rng_state()
    trained = load_trained(run_dir, report=no_report)
    assert torch.equal(torch.get_rng_state(), state)
    assert (trained.task.name, trained.step, trained.steps) == ("climate", 2, 2)
    assert not trained.model.training
    again = load_trained(run_dir, report=no_report)
    assert all(torch.equal(a, b) for a, b in zip(trained.model.parameters(), again.model.parameters(), strict=True))
    fresh = create_task("climate", "fast").build_model()
    assert any(not torch.equal(a, b) for a, b in zip(trained.model.parameters(), fresh.parameters(), strict=True))


def test_answers_are_those_of_the_model_whatever_the_size_of_the_parts(predictor: Predictor) -> None:
    planets = EARTH.expand(5, -1) * torch.linspace(0.9, 1.0, 5)[:, None]
    answers = predictor.answers({"planet_parameters": planets}, batch_size=2)
    assert answers.keys() == {"temperature"}
    with torch.no_grad():
        expected = predictor.trained.model(planets)
    # Matrix products over another number of rows may round otherwise: 288 K to a few units in the last place.
    torch.testing.assert_close(answers["temperature"], expected, rtol=8 * torch.finfo(torch.float32).eps, atol=0.0)
    assert predictor.units(answers) == {"temperature": "K"}


def test_a_damaged_checkpoint_is_told_and_the_one_before_answers(run_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_dir, copy)
    (copy / "checkpoints/step-00000002/state.json").write_text("{}")
    lines: list[str] = []
    assert load_trained(copy, report=lines.append).step == 1
    assert "step-00000002 is damaged" in lines[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "nothing"}, "a run that this version does not know: unknown task 'nothing'"),
        ({"preset": "slow"}, "a run that this version does not know: climate has no preset 'slow'"),
        ({"seed": "x"}, "run.json says that seed is 'x'; expected a whole number from 0"),
    ],
)
def test_a_run_of_something_unknown_is_an_error(
    run_dir: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    identity = json.loads((run_dir / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**identity, **change}))
    with pytest.raises(RunFolderError, match=message):
        load_trained(tmp_path, report=no_report)


def test_a_run_without_a_checkpoint_is_an_error(run_dir: Path, tmp_path: Path) -> None:
    shutil.copy(run_dir / "run.json", tmp_path)
    with pytest.raises(RunFolderError, match="has no checkpoint yet"):
        load_trained(tmp_path, report=no_report)


def test_weights_of_another_model_are_an_error(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrobio.training.tasks.climate.ClimateTask.build_model", lambda self: nn.Linear(2, 2))
    with pytest.raises(RunFolderError, match=r"are those of another model: .*Missing key"):
        load_trained(run_dir, report=no_report)


def test_a_model_that_is_not_registered_cannot_be_asked(predictor: Predictor) -> None:
    with pytest.raises(RunFolderError, match=r"the model of climate cannot be asked: torch.nn.*Linear is not"):
        Predictor(TrainedModel(task=predictor.trained.task, step=1, steps=1, model=nn.Linear(2, 2)))


Pair = namedtuple("Pair", ["mean", "spread"])


@dataclass
class Fields:
    mean: Tensor
    spread: Tensor


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda a, b: Pair(a, b), ["mean", "spread"]),
        (lambda a, b: Fields(a, b), ["mean", "spread"]),
        (lambda a, b: {"low": a, "high": b}, ["low", "high"]),
        (lambda a, b: (a, b), ["output_0", "output_1"]),
    ],
)
def test_several_outputs_keep_their_names(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, make: Callable[[Tensor, Tensor], object], names: list[str]
) -> None:
    monkeypatch.setattr(predictor.trained.model, "forward", lambda planet_parameters: make(EARTH, 2 * EARTH))
    answers = predictor.answers({"planet_parameters": EARTH})
    assert list(answers) == names
    assert torch.equal(answers[names[1]], 2 * EARTH)


def test_an_answer_that_is_not_finite_is_an_error(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor.trained.model, "forward", lambda planet_parameters: EARTH / 0.0)
    with pytest.raises(FloatingPointError, match="the model's temperature is not finite for these inputs"):
        predictor.answers({"planet_parameters": EARTH})
