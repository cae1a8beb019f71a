import os
import pty
import sys
from collections.abc import Callable

import pytest

from astrobio.commands.progress import StepProgress


def shown(steps: int) -> None:
    with StepProgress(steps, is_shown=True) as progress:
        for step in range(1, steps + 1):
            progress.advance_to({"step": step, "loss": 1.0 / step})
        progress.report("half [bold]way")


def on_a_terminal(show: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> str:
    parent, child = pty.openpty()
    with os.fdopen(child, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        patch.setenv("TERM", "xterm")
        show()
    text = b""
    try:
        while part := os.read(parent, 65536):
            text += part
    except OSError:  # how Linux says that the other end was closed
        pass
    finally:
        os.close(parent)
    return text.decode()


def test_without_a_terminal_there_are_lines_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    shown(2)
    captured = capsys.readouterr()
    assert captured.err == "half [bold]way\n"
    assert captured.out == ""


def test_on_a_terminal_there_is_a_bar_with_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    text = on_a_terminal(lambda: shown(4), monkeypatch)
    assert "4/4" in text
    assert "loss 0.25000" in text
    assert "half [bold]way" in text


def test_a_rank_that_is_not_shown_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with StepProgress(2, is_shown=False) as progress:
        progress.advance_to({"step": 1, "loss": 1.0})
        progress.report("nothing")
    assert capsys.readouterr() == ("", "")
