import json
from pathlib import Path

import pytest
import torch

from astrobio.training.checkpoints import checkpoint_folders, load_newest, save_checkpoint
from astrobio.training.errors import RunFolderError, WriteError

TENSORS = {"model.weight": torch.arange(6.0).view(2, 3), "random.0.cpu": torch.arange(5, dtype=torch.uint8)}
STATE = {"task": "line", "rate": 0.1, "words": [1, 2, 3]}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def no_report(line: str) -> None:
    raise AssertionError(line)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 7, TENSORS, STATE, keep=1)
    loaded = load_newest(tmp_path, report=no_report)
    assert loaded is not None
    assert loaded.step == 7
    assert loaded.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(loaded.tensors[name], TENSORS[name]) for name in TENSORS)
    assert {name: loaded.state[name] for name in STATE} == STATE


def test_where_there_is_none_there_is_none(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "missing", report=no_report) is None
    assert load_newest(tmp_path, report=no_report) is None


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10, 9, 100):
        save_checkpoint(tmp_path, step, TENSORS, STATE, keep=3)
    assert names(tmp_path) == ["step-00000009", "step-00000010", "step-00000100"]


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, TENSORS, STATE, keep=2)
    save_checkpoint(tmp_path, 1, TENSORS, {**STATE, "rate": 0.2}, keep=2)
    loaded = load_newest(tmp_path, report=no_report)
    assert loaded is not None
    assert loaded.state["rate"] == 0.2
    assert names(tmp_path) == ["step-00000001"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json"])
@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty, remove])
def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_is_taken(
    tmp_path: Path, file: str, damage: object
) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, step, TENSORS, STATE, keep=3)
    damage(tmp_path / "step-00000002" / file)  # type: ignore[operator]
    lines: list[str] = []
    loaded = load_newest(tmp_path, report=lines.append)
    assert loaded is not None
    assert loaded.step == 1
    (line,) = lines
    assert line.startswith("checkpoint step-00000002 is damaged (")
    assert file in line
    assert line.endswith("taking the one before")


def test_a_state_that_was_edited_is_damaged(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, TENSORS, STATE, keep=3) / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rate": 0.2}))
    with pytest.raises(RunFolderError, match=r"every checkpoint in .* is damaged: step-00000001"):
        load_newest(tmp_path, report=lambda line: None)


def test_a_checkpoint_under_the_name_of_another_step_is_damaged(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, TENSORS, STATE, keep=3).rename(tmp_path / "step-00000005")
    lines: list[str] = []
    with pytest.raises(RunFolderError, match="damaged: step-00000005"):
        load_newest(tmp_path, report=lines.append)
    assert "it is of another step" in lines[0]


def test_a_format_of_the_future_is_an_error_and_not_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrobio.training.checkpoints._FORMAT", 2)
    save_checkpoint(tmp_path, 1, TENSORS, STATE, keep=3)
    monkeypatch.undo()
    with pytest.raises(RunFolderError, match="has format 2, this version reads format 1"):
        load_newest(tmp_path, report=no_report)


def test_what_a_crash_left_aside_is_not_a_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, TENSORS, STATE, keep=3)
    (tmp_path / ".step-00000002.partial").mkdir()
    (tmp_path / ".step-00000002.partial" / "state.json").write_text("{}")
    assert [step for step, _ in checkpoint_folders(tmp_path)] == [1]
    save_checkpoint(tmp_path, 2, TENSORS, STATE, keep=3)
    assert names(tmp_path) == ["step-00000001", "step-00000002"]


def test_what_cannot_be_written_is_one_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match="step-00000001 cannot be written: Not a directory; what was there is intact"):
        save_checkpoint(tmp_path / "file", 1, TENSORS, STATE, keep=3)
