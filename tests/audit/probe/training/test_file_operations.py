"""Which operations on files are seen, and that a process is killed behind the one that is asked for."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from audit.probe.training import harness

WRITES = """
import os, shutil, sys
from pathlib import Path
import torch

folder = Path(sys.argv[1])
parameter = torch.zeros(2, requires_grad=True)
optimizer = torch.optim.SGD([parameter], lr=0.1)

def step():
    parameter.sum().backward()
    optimizer.step()

step()
(folder / "before").write_text("not counted")
step()
open(folder / "old").close() if (folder / "old").exists() else (folder / "old").write_text("1")  # reads are not counted
torch.save({"a": parameter}, folder / "aside.pt")
os.replace(folder / "aside.pt", folder / "newest.pt")
shutil.copyfile(folder / "newest.pt", folder / "copy.pt")
(folder / "old").unlink()
(folder.parent / "elsewhere").write_text("not in the folder")
os.close(os.open(folder / "low", os.O_CREAT | os.O_WRONLY))
step()
step()
"""
SEEN = [
    "opening old", "opening aside.pt", "renaming to newest.pt", "opening copy.pt", "removing old", "opening low",
]  # fmt: skip


def carried_out(tmp_path: Path, number: int) -> tuple[int, list[str], set[str]]:
    """Run the script; return its status, the operations that were named and the files in the folder."""
    folder, script, record = tmp_path / "checkpoints", tmp_path / "writes.py", tmp_path / "record"
    folder.mkdir()
    script.write_text(WRITES)
    line = [sys.executable, harness.__file__, str(record), "files:2:4", str(number), "0", str(folder)]
    done = subprocess.run([*line, str(script), str(folder)], check=False, timeout=120, capture_output=True)
    named = Path(f"{record}.named")
    names = named.read_text().splitlines() if named.exists() else []
    return done.returncode, names, {path.name for path in folder.iterdir()}


def test_operations_between_the_steps_are_named_in_their_order(tmp_path: Path) -> None:
    status, names, left = carried_out(tmp_path, 0)
    assert (status, names) == (-signal.SIGKILL, SEEN)  # it is killed behind the last step
    assert left == {"before", "newest.pt", "copy.pt", "low"}


@pytest.mark.parametrize(
    ("number", "left"),
    [
        (2, {"before", "old", "aside.pt"}),
        (3, {"before", "old", "newest.pt"}),
        (5, {"before", "newest.pt", "copy.pt"}),
    ],
)
def test_it_is_killed_right_behind_the_one_that_is_asked_for(tmp_path: Path, number: int, left: set[str]) -> None:
    assert carried_out(tmp_path, number) == (-signal.SIGKILL, SEEN[:number], left)
    if number == 2:
        assert (tmp_path / "checkpoints" / "aside.pt").stat().st_size == 0
