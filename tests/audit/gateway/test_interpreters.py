"""An interpreter that is none, or that cannot run the probe, is one clear failure."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.gateway import client, forks

from ...slow_cases import slow

MakeChild = Callable[..., Any]


def script(folder: Path, text: str) -> Path:
    path = folder / "python"
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: Path("/bin/true"), r"^interpreter true did not start"),
        (lambda folder: Path("/bin/cat"), r"^interpreter cat did not start"),
        (lambda folder: folder / "nowhere" / "python", r"^interpreter python did not start"),
        (lambda folder: folder, r" did not start"),
        (lambda folder: script(folder, "no program at all\n"), r"^interpreter python did not start"),
        (lambda folder: script(folder, "#!/nowhere/at/all\n"), r"^interpreter python did not start"),
        (lambda folder: script(folder, "#!/bin/sh\necho welcome\nexec cat\n"), r"^interpreter python did not start"),
        (lambda folder: script(folder, "#!/bin/sh\nkill -9 $$\n"), r"^interpreter python did not start"),
    ],
    ids=["true", "cat", "missing", "folder", "no program", "no interpreter", "greets", "killed"],
)
def test_what_is_no_python_is_refused(
    make_child: MakeChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path], reason: str
) -> None:
    monkeypatch.setattr(forks, "_HERE_WITHIN_S", 2.0)
    child = make_child(make(tmp_path))
    for _ in range(2):
        failure = child.fail("pass", within_s=50)
        with pytest.raises(type(failure), match=reason):
            raise failure


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["exec sleep 300", *slow("sleep 300 & wait", "trap '' TERM INT HUP; while true; do sleep 1; done")]
)
def test_an_interpreter_that_stays_silent_is_given_up(
    make_child: MakeChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_gone: Callable[[int], bool], text: str
) -> None:
    monkeypatch.setattr(forks, "_HERE_WITHIN_S", 1.0)
    monkeypatch.setattr(client, "_START_TIMEOUT_S", 3.0)
    python = script(tmp_path, f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{text}\n")
    failure = make_child(python).fail("pass", within_s=50)
    assert failure.reason == "interpreter python did not start within 3 s"
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_the_last_words_of_an_interpreter_are_in_its_failure(make_child: MakeChild, tmp_path: Path) -> None:
    python = script(tmp_path, "#!/bin/sh\necho no licence for this machine >&2\nexit 1\n")
    child = make_child(python)
    tails = [child.fail("pass").output_tail for _ in range(10)]
    assert tails == ["no licence for this machine"] * 10


def test_a_python_without_torch_is_told(make_child: MakeChild, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True, timeout=120)
    failure = make_child(tmp_path / "venv" / "bin" / "python").fail("pass")
    assert failure.reason == "the probe cannot run in python: ModuleNotFoundError: No module named 'torch'"


def test_a_script_that_becomes_the_interpreter_will_do(make_child: MakeChild, tmp_path: Path) -> None:
    folder = tmp_path / "a folder with 'quotes' and $signs"
    folder.mkdir()
    python = script(folder, f'#!/bin/sh\nexport WRAPPED=yes\nexec {sys.executable} "$@"\n')
    assert make_child(python).tell("os.environ['WRAPPED']") == "yes"
