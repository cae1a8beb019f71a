import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from astrobio.training.task import TrainingTask

ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("line_task.py")
_TASKS = runpy.run_path(str(SCRIPT))
StartRun = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def make_task() -> Callable[..., TrainingTask]:
    return _TASKS["LineTask"]  # type: ignore[no-any-return]


@pytest.fixture
def make_undropped_task() -> Callable[..., TrainingTask]:
    return _TASKS["UndroppedLineTask"]  # type: ignore[no-any-return]


@pytest.fixture
def start_run() -> StartRun:
    """Starts a run of the line task as a process of its own; its arguments are those of line_task.py."""

    def start(*arguments: object, launcher: tuple[str, ...] = (), **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            [sys.executable, *launcher, str(SCRIPT), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start
