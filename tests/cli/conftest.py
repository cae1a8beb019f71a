"""The command line as a real process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = (str(Path(sys.executable).with_name("astrobio-audit")),)  # `python -m` would import from the current folder
Run = Callable[..., subprocess.CompletedProcess[str]]
Project = Callable[..., Path]
Small = Callable[..., Path]
# Written into the package of `small`.
MODEL = """import torch
from torch import nn


class TinyNet(nn.Module):
    def __init__(self, width, depth=1):
        super().__init__()
        self.layer = nn.Linear(3, width)

    def forward(self, x):
        return self.layer(x)
"""
ATTENTION = """import torch


def attend(query, key, value):
    return torch.softmax(query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5, dim=-1) @ value
"""


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without what would change the output of a command."""
    changing = ("COLUMNS", "FORCE_COLOR", "GITHUB_STEP_SUMMARY", "NO_COLOR", "TERM")
    kept = {key: value for key, value in os.environ.items() if key not in changing}
    return kept | changes


@pytest.fixture(scope="session")
def fixtures() -> Path:
    return ROOT / "tests" / "fixtures"


@pytest.fixture(scope="session")
def program() -> Sequence[str]:
    """The command that starts the tool."""
    return PROGRAM


@pytest.fixture
def program_environment() -> Mapping[str, str]:
    """What `run` gives a process: of this moment, for libraries set variables as they are imported by other tests."""
    return environment()


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs the tool to its end; output is text, undecodable bytes are replaced."""

    def start(
        *arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [*PROGRAM, *arguments],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options,
            cwd=cwd,
            env=environment(**(env or {})),
            text=True,
            errors="replace",
            check=False,
            timeout=240,
        )

    return start


@pytest.fixture
def project(tmp_path: Path, fixtures: Path) -> Project:
    """Copies a fixture to a folder of its own and writes files over it."""

    def make(fixture: str = "models/clean", files: Mapping[str, str] | None = None) -> Path:
        root = tmp_path / "project"
        shutil.copytree(fixtures / fixture, root, ignore=shutil.ignore_patterns("__pycache__"))
        for name, content in (files or {}).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        return root

    return make


@pytest.fixture
def small(tmp_path: Path) -> Small:
    """Makes a project with the package `zoo`, and the given files over it."""

    def make(folder: str = ".", **files: str) -> Path:
        root = tmp_path / "project"
        package = root / folder / "zoo"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text('"""A zoo."""\n')
        (package / "net.py").write_text(MODEL)
        (package / "attention.py").write_text(ATTENTION)
        for name, text in files.items():
            (root / name.replace("__", "/").replace("_dot_", ".")).write_text(text)
        return root

    return make
