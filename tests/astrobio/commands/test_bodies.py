"""What the commands do, in this process; that they are wired up is tested by processes in test_processes.py."""

import json
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from astrobio.commands.asking import predict_file, serve_run
from astrobio.commands.listing import print_card, print_models, print_tasks
from astrobio.commands.training import evaluate_run
from astrobio.registry import create_model
from astrobio.serving.request_limits import RequestLimits
from astrobio.training.errors import RunFolderError, UsageError
from astrobio.training.run_folder import FIGURES_FILE
from astrobio.training.tasks import TASKS, create_task

EARTH = [1.0, 23.446, 0.016724, 282.04, 330.0, 0.55, 50.0]


@pytest.fixture
def planets(tmp_path: Path) -> Path:
    path = tmp_path / "planets.json"
    path.write_text(json.dumps({"planet_parameters": [EARTH, EARTH]}))
    return path


def ask(run_dir: Path, source: Path, output: Path, *, force: bool = False) -> None:
    predict_file(run_dir, source, output, batch_size=256, force=force)


def test_every_task_and_model_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    print_tasks()
    print_models()
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["climate", "fast"] in [line[:2] for line in words]
    assert ["climate", "base"] in [line[:2] for line in words]
    assert "climate_surrogate_small" in [line[0] for line in words]


def test_a_card_tells_limits_units_and_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    print_card("climate_surrogate_small")
    text = capsys.readouterr().out
    for line in ("  co2_ppm: parts per million by volume\n", "  eccentricity: 0 to 0.3\n", "license: Apache-2.0\n"):
        assert line in text
    with pytest.raises(UsageError, match=r"unknown model 'x'; choose from: .*climate_surrogate_small.*tasks: climate"):
        print_card("x")


@pytest.mark.parametrize("task", TASKS)
def test_the_name_of_a_task_stands_for_the_model_that_it_trains(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_card(task)
    told = capsys.readouterr()
    name = told.out.partition(":")[0]
    assert told.err == f"{task} is a task; the model that it trains is {name}\n"
    trained, registered = create_task(task).build_model(), create_model(name)
    assert [(key, each.shape) for key, each in trained.state_dict().items()] == [
        (key, each.shape) for key, each in registered.state_dict().items()
    ]


def test_measuring_a_run_gives_the_figures_of_its_end(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_run(run_dir, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["task"] == "climate"
    assert document["step"] == 2
    assert document["figures"] == json.loads((run_dir / FIGURES_FILE).read_text())["figures"]
    evaluate_run(run_dir, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["num_planets", "rmse_k", "baseline_rmse_k", "r_squared"]


def test_an_unfinished_run_is_measured_and_said_to_be_one(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = json.loads((run_dir / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**identity, "steps": 9}))
    (tmp_path / "checkpoints").symlink_to(run_dir / "checkpoints")
    evaluate_run(tmp_path, as_json=False)
    assert "the run is not finished: step 2 of 9" in capsys.readouterr().err


def test_answers_are_written_with_their_shape_told(
    run_dir: Path, planets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(run_dir, planets, tmp_path / "cycles.safetensors")
    assert load_file(tmp_path / "cycles.safetensors")["temperature"].shape == (2, 48, 24)
    assert capsys.readouterr().out == f"{tmp_path / 'cycles.safetensors'}: temperature (2, 48, 24)\n"


def test_what_exists_is_replaced_only_when_asked(run_dir: Path, planets: Path, tmp_path: Path) -> None:
    output = tmp_path / "cycles.json"
    output.write_text("mine")
    with pytest.raises(UsageError, match=r"cycles.json exists; choose another name, or --force"):
        ask(run_dir, planets, output)
    assert output.read_text() == "mine"
    ask(run_dir, planets, output, force=True)
    assert "temperature" in json.loads(output.read_text())["outputs"]


def test_refused_inputs_write_nothing_even_when_asked_to_replace(run_dir: Path, planets: Path, tmp_path: Path) -> None:
    output = tmp_path / "cycles.json"
    output.write_text("mine")
    planets.write_text(json.dumps({"planet_parameters": [[2.0, *EARTH[1:]]]}))
    with pytest.raises(UsageError, match=r"planets.json: planet_parameters\[0\].instellation is 2, outside the range"):
        ask(run_dir, planets, output, force=True)
    assert output.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cycles.json", "planets.json"]


@pytest.mark.parametrize(
    ("output", "message"),
    [("cycles.npy", "is in no known format"), ("missing/cycles.json", "missing is not a folder")],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    run_dir: Path, tmp_path: Path, output: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ask(run_dir, tmp_path / "nothing.json", tmp_path / output)


def test_a_folder_without_a_run_is_refused(tmp_path: Path, planets: Path) -> None:
    with pytest.raises(RunFolderError, match="holds no run"):
        ask(tmp_path, planets, tmp_path / "cycles.json")


def test_serving_without_its_extra_says_what_to_install(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "astrobio.serving.server", raising=False)
    with pytest.raises(UsageError, match=r"uvicorn is not installed; .* pip install 'astrobio-audit\[serve\]'"):
        serve_run(run_dir, host="127.0.0.1", port=0, limits=RequestLimits())
