import sys

import pytest

from astrobio import cli
from astrobio.serving.inputs import InputError
from astrobio.training.errors import Interrupted, RunFolderError, UsageError, WriteError


def left_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> object:
    def fail() -> None:
        raise error

    monkeypatch.setattr("astrobio.commands.listing.print_tasks", fail)
    monkeypatch.setattr(sys, "argv", ["astrobio", "tasks"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FloatingPointError("the loss is nan\nat step 3"), 1),
        (UsageError("the loss is nan at step 3"), 2),
        (InputError("the loss is nan at step 3"), 2),
        (RunFolderError("the loss is nan at step 3"), 2),
        (WriteError("the loss is nan at step 3"), 3),
        (Interrupted("the loss is nan at step 3"), 3),
    ],
)
def test_what_the_user_can_understand_is_one_line_and_has_its_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert left_with(error, monkeypatch) == code
    assert capsys.readouterr() == ("", "astrobio: the loss is nan at step 3\n")


@pytest.mark.parametrize("error", [ValueError("odd"), OSError("odd"), KeyError("odd")])
def test_a_defect_keeps_its_traceback_and_says_neither_diverged_nor_misused(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert left_with(error, monkeypatch) == 3
    text = capsys.readouterr().err
    assert "Traceback (most recent call last)" in text
    assert text.endswith("astrobio: internal error; please report it\n")


def test_a_second_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert left_with(KeyboardInterrupt(), monkeypatch) == 3
    text = capsys.readouterr().err
    assert "Traceback" not in text
    assert text.endswith("astrobio: stopped\n")
