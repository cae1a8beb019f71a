"""The attention command over days: a run that is stopped or killed, unchanged files, the first failure."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from ..slow_cases import slow

Run = Callable[..., subprocess.CompletedProcess[str]]
Outcomes = dict[tuple[str, str], tuple[str, str | None]]

# `Slow` says that it is being built, and waits while a file is there that is not Python: no result depends on it.
MODEL = """
import pathlib
import time
import torch
from torch import nn


class First(nn.Module):
    def __init__(self, dim, num_heads=4):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(b, n, c))


class Overwrites(First):
    def forward(self, x):
        x *= 1.01
        return super().forward(x)


class Slow(First):
    def __init__(self, dim, num_heads=4):
        here = pathlib.Path(__file__).parent
        (here / "building").touch()
        while (here / "wait").exists():
            time.sleep(0.05)
        super().__init__(dim, num_heads)
"""
NAMES = ("layers.py::First", "layers.py::Slow")
WAIT_S = 120


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "layers.py").write_text(MODEL)
    return root


@pytest.fixture
def attention(run: Run, folder: Path, tmp_path: Path) -> Run:
    """Runs the command with a cache of its own, and the seed and properties that are quick to judge."""

    def start(*words: str) -> subprocess.CompletedProcess[str]:
        return run(
            "attention", *words, "--only", "inputs_untouched", "--json", "--workers", "1",
            cwd=folder, env={"ASTROBIO_AUDIT_CACHE": str(tmp_path / "cache")},
        )  # fmt: skip

    return start


def outcomes(done: subprocess.CompletedProcess[str]) -> Outcomes:
    """Return outcome and date of each result."""
    report = json.loads(done.stdout)
    return {
        (each["subject"]["qualname"], each["check"].partition(".")[2]): (
            each["outcome"],
            each["evidence"]["measured_at"],
        )
        for each in report["results"]
    }


def test_what_has_not_changed_is_not_measured_again_and_says_when_it_was(attention: Run) -> None:
    first, second = outcomes(attention("layers.py::First")), outcomes(attention("layers.py::First"))
    assert {date for _, date in first.values()} == {None}
    assert all(date for _, date in second.values())
    assert {key: outcome for key, (outcome, _) in first.items()} == {key: each for key, (each, _) in second.items()}
    third = outcomes(attention("layers.py::First"))
    assert third == second  # the date stays that of the measurement


def test_a_failure_of_an_earlier_run_fails_this_one(attention: Run) -> None:
    assert [attention("layers.py::Overwrites").returncode for _ in range(2)] == [1, 1]


@pytest.mark.slow
def test_the_summary_says_that_results_are_of_an_earlier_run(attention: Run, folder: Path, tmp_path: Path) -> None:
    assert attention("layers.py::First").returncode == 0
    done = attention("layers.py::First", "--format", "json", "--output", str(tmp_path / "out"))
    when = next(date for _, date in outcomes(done).values())
    (markdown,) = (tmp_path / "out").glob("*.md")
    assert f"2 results of 2 were measured at {when}, by earlier runs" in markdown.read_text()


@pytest.mark.parametrize("change", ["neighbour", *slow("seed", "no_cache")])
def test_what_may_have_changed_is_measured_again(attention: Run, folder: Path, change: str) -> None:
    attention("layers.py::First")
    if change == "neighbour":
        (folder / "constants.py").write_text("WIDTH = 3\n")
    words = {"seed": ("--seed", "1"), "no_cache": ("--no-cache",)}.get(change, ())
    assert {date for _, date in outcomes(attention("layers.py::First", *words)).values()} == {None}


READING = """

class Reads(First):
    def __init__(self, dim, num_heads):
        super().__init__(dim, num_heads)
        self.said = [pathlib.Path(PLACE, "settings.json").read_text(), os.environ.get("SWITCH"), outside.VALUE]
"""


@pytest.mark.parametrize("change", ["data", *slow(None, "outside", "environment")])
def test_what_the_target_read_elsewhere_may_have_changed(
    run: Run, folder: Path, tmp_path: Path, change: str | None
) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "settings.json").write_text("{}")
    (place / "outside.py").write_text("VALUE = 1\n")
    head = f"import os\nimport sys\n\nPLACE = {str(place)!r}\nsys.path.append(PLACE)\nimport outside\n"
    (folder / "layers.py").write_text(head + MODEL + READING)
    environment = {"ASTROBIO_AUDIT_CACHE": str(tmp_path / "cache"), "SWITCH": "0"}
    words = ["attention", "layers.py::Reads", "--only", "inputs_untouched", "--json"]
    assert run(*words, cwd=folder, env=environment).returncode == 0
    if change == "data":
        (place / "settings.json").write_text("[]")
    elif change == "outside":
        (place / "outside.py").write_text("VALUE = 2\n")
    elif change == "environment":
        environment["SWITCH"] = "1"
    dates = {date for _, date in outcomes(run(*words, cwd=folder, env=environment)).values()}
    assert (dates == {None}) is (change is not None)


@pytest.mark.slow
def test_what_could_not_be_judged_is_tried_again(attention: Run, folder: Path) -> None:
    raising = MODEL.replace("here = pathlib", "raise OSError('no space left on device')\n        here = pathlib")
    (folder / "layers.py").write_text(raising)
    for _ in range(2):
        assert outcomes(attention("layers.py::Slow"))["Slow", "built"] == ("error", None)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not path.exists():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for {path.name}"
        time.sleep(0.05)


@pytest.fixture
def begun(
    folder: Path, tmp_path: Path, program: Sequence[str], program_environment: Mapping[str, str]
) -> Callable[..., subprocess.Popen[str]]:
    """Starts the same command, and returns when its second subject is being built, which does not end."""

    def start() -> subprocess.Popen[str]:
        (folder / "wait").touch()
        process = subprocess.Popen(
            [*program, "attention", *NAMES, "--only", "inputs_untouched", "--json", "--workers", "1"],
            cwd=folder,
            env={**program_environment, "ASTROBIO_AUDIT_CACHE": str(tmp_path / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(folder / "building")
        return process

    return start


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_was(
    begun: Callable[..., subprocess.Popen[str]], attention: Run, folder: Path
) -> None:
    process = begun()
    process.kill()
    process.communicate(timeout=WAIT_S)
    (folder / "wait").unlink()
    found = outcomes(attention(*NAMES))
    assert found["First", "inputs_untouched"][0] == found["Slow", "inputs_untouched"][0] == "passed"
    assert found["First", "inputs_untouched"][1]
    assert found["Slow", "inputs_untouched"][1] is None


def test_a_run_that_is_stopped_reports_what_it_has_measured(begun: Callable[..., subprocess.Popen[str]]) -> None:
    process = begun()
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 3
    assert "Traceback" not in err
    found = {(each["subject"]["qualname"], each["check"]): each for each in json.loads(out)["results"]}
    assert found["First", "attention.inputs_untouched"]["outcome"] == "passed"
    assert found["Slow", "attention.inputs_untouched"]["reason"] == (
        "never reported: stopped by the user before the end"
    )


def test_nothing_is_begun_after_the_first_failure(run: Run, folder: Path) -> None:
    words = ("layers.py::Overwrites", "layers.py::Slow", "--only", "inputs_untouched", "--workers", "1", "--json")
    done = run("attention", *words, "--fail-fast", "--no-cache", cwd=folder)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["partial_reason"] == "stopped at the first failure, as --fail-fast asks"
    found = {(each["subject"]["qualname"], each["check"]): each for each in report["results"]}
    assert found["Overwrites", "attention.inputs_untouched"]["outcome"] == "failed"
    assert found["Slow", "attention.built"]["reason"] == f"never reported: {report['partial_reason']}"
    assert not (folder / "building").exists()


def test_without_a_failure_nothing_is_left_out(run: Run, folder: Path) -> None:
    done = run("attention", *NAMES, "-x", "--only", "inputs_untouched", "--no-cache", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert {each["outcome"] for each in json.loads(done.stdout)["results"]} == {"passed"}


def test_a_property_that_does_not_exist_is_one_line(run: Run, folder: Path) -> None:
    done = run("attention", "layers.py::First", "--only", "causalty", cwd=folder)
    assert done.returncode == 2
    assert "--only attention.causalty: no such check or area; did you mean attention.causality?" in done.stderr
    assert done.stderr.count("\n") == 1
