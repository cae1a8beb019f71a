"""The command line `astrobio` as a real process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from astrobio.training.tasks import create_task
from astrobio.training.trainer import fit

ROOT = Path(__file__).parents[3]
PROGRAM = (sys.executable, "-m", "astrobio.cli")
Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


def environment() -> dict[str, str]:
    """This process's environment, with the package of this source tree and without what changes the output."""
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR", "TERM")}
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs a command to its end in a folder."""

    def start(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    return start


@pytest.fixture(scope="session")
def start() -> Start:
    """Starts a command in a folder."""

    def begin(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*PROGRAM, *map(str, arguments)],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps."""
    path = tmp_path_factory.mktemp("runs") / "climate"
    fit(create_task("climate", "fast"), steps=2, output=path)
    return path
