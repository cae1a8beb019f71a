from collections.abc import Callable
from pathlib import Path

import pytest

from astrobio.training.errors import Interrupted, WriteError
from astrobio.training.events import EventLog, _checksum
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
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    asked = iter(range(1, 100))
    with pytest.raises(Interrupted):
        fit(make_task(), output=tmp_path, is_stop_wanted=lambda: next(asked) == 10)
    events = EventLog(tmp_path / "events", next_step=11)
    events.add({"step": 11, "loss": 99.0})  # of a run that was killed before its next checkpoint
    events.close()
    fit(make_task(), output=tmp_path, resume=True)
    shown = scalars(tmp_path / "events")
    assert set(shown) == {"loss", "mean_error", "learning_rate", "gradient_norm"}
    curve = RunFolder(tmp_path).curve()
    for name, values in shown.items():
        assert [step for step, _ in values] == list(range(1, 21))
        assert [value for _, value in values] == pytest.approx([record[name] for record in curve])  # float32 there


def test_values_of_every_size_are_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    log = EventLog(tmp_path / "events", next_step=1)
    log.add({"step": 3_000_000_000, "large": 1e300, "small": -1e-300, "\u03b8": 0.5, "x" * 300: 2.0})
    log.close()
    step = 3_000_000_000
    assert scalars(tmp_path / "events") == {
        "large": [(step, float("inf"))],
        "small": [(step, -0.0)],
        "\u03b8": [(step, 0.5)],
        "x" * 300: [(step, 2.0)],
    }


def test_the_checksum_is_crc_32c() -> None:
    # RFC 3720, B.4: 32 bytes of zeros have the CRC 8a9136aa, which the format rotates and shifts.
    crc = 0x8A9136AA
    assert _checksum(bytes(32)) == (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def test_a_file_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("x")
    with pytest.raises(WriteError, match=r"events/events\.out\.tfevents\..* cannot be written"):
        EventLog(tmp_path / "events", next_step=1)
