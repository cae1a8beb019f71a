"""Folders of runs that were killed are removed by the next run; those of runs that are alive are not."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.scratch import Scratch, scratch_folder, sweep

HOLDS = """
import sys, time
from audit.scratch import Scratch
held = Scratch("train")
print(held.path, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder(temporary: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_a_folder_is_removed_with_what_is_in_it() -> None:
    with scratch_folder("train") as path:
        Path(path, "runs").mkdir()
        Path(path, "runs", "newest.pt").write_bytes(b"weights")
    assert not Path(path).exists()


def test_a_folder_is_removed_when_nobody_has_it_any_more() -> None:
    made = Scratch("train")
    path = Path(made.path)
    assert path.is_dir()
    del made
    assert not path.exists()


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_holds_is_not(
    holder: subprocess.Popen[str],
) -> None:
    assert holder.stdout
    left = Path(holder.stdout.readline().strip())
    Path(left, "200.pt").write_bytes(b"weights")
    with scratch_folder("train") as own:
        sweep()
        assert left.is_dir()
        assert Path(own).is_dir()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        sweep()
        assert not left.exists()
        assert Path(own).is_dir()


@pytest.mark.parametrize(("age_s", "stays"), [(0, True), (200_000, False)])
def test_a_folder_that_names_no_owner_is_swept_when_it_is_old(temporary: Path, age_s: float, stays: bool) -> None:
    nobodys = temporary / "astrobio-audit-train-old"
    nobodys.mkdir()
    changed = time.time() - age_s
    os.utime(nobodys, (changed, changed))
    sweep()
    assert nobodys.exists() is stays


def test_what_is_not_ours_is_not_touched(temporary: Path) -> None:
    other, lead = temporary / "somebody", temporary / "astrobio-audit-train-link"
    other.mkdir()
    (other / ".owner").touch()
    lead.symlink_to(other)
    (temporary / "astrobio-audit-train-file").touch()
    (temporary / "astrobio-audit-bench-cpu.lock").touch()
    sweep()
    assert (other / ".owner").exists()
    assert len(list(temporary.iterdir())) == 4
