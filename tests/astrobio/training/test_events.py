import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from astrobio.training.errors import Interrupted
from astrobio.training.run_folder import RunFolder
from astrobio.training.task import TrainingTask
from astrobio.training.trainer import fit

MakeTask = Callable[..., TrainingTask]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a folder of event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    shown.Reload()
    return {tag: [(event.step, event.value) for event in shown.Scalars(tag)] for tag in shown.Tags()["scalars"]}


def test_tensorboard_shows_the_curve_of_a_resumed_run_once(make_task: MakeTask, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `logs` is not installed")
    lines: list[str] = []
    asked = iter(range(1, 100))
    with pytest.raises(Interrupted):
        fit(make_task(), output=tmp_path, is_stop_wanted=lambda: next(asked) == 10, report=lines.append)
    assert f"the loss curve goes to log.jsonl and, for TensorBoard, to {tmp_path / 'events'}" in lines
    fit(make_task(), output=tmp_path, resume=True)
    shown = scalars(tmp_path / "events")
    assert set(shown) == {"loss", "mean_error", "learning_rate", "gradient_norm"}
    curve = RunFolder(tmp_path).curve()
    for name, values in shown.items():
        assert [step for step, _ in values] == list(range(1, 21))
        assert [value for _, value in values] == pytest.approx([record[name] for record in curve])  # float32 there


def test_without_tensorboard_that_is_said_and_the_curve_is_in_json_lines(
    make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it were not installed
    monkeypatch.setattr("astrobio.training.events.find_spec", lambda name: None)
    lines: list[str] = []
    fit(make_task(), output=tmp_path, report=lines.append)
    assert "TensorBoard is not installed (extra `logs`): the loss curve goes to log.jsonl alone" in lines
    assert not (tmp_path / "events").exists()
    assert len(RunFolder(tmp_path).curve()) == 20
