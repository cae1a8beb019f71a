"""Whole readiness runs as a user starts them, each carried out once."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit.report.document import Report

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A readiness run that has ended, in a copy of a fixture."""

    root: Path
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> str:
        return self._file("json").read_text()

    @property
    def markdown(self) -> str:
        return self._file("md").read_text()

    def _file(self, ending: str) -> Path:
        (path,) = (self.root / "reports" / "latest").glob(f"readiness*.{ending}")
        return path

    @property
    def report(self) -> Report:
        return Report.model_validate_json(self.json)


Ready = Callable[..., Finished]


def readiness(root: Path, *flags: str, **variables: str) -> Finished:
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR", "TERM")}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("astrobio-audit")), "readiness", *flags],
        cwd=root,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return Finished(root=root, code=done.returncode, stdout=done.stdout, stderr=done.stderr)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """Runs readiness in a fresh copy of a fixture; the same fixture with the same flags is run once only."""
    made: dict[tuple[str, ...], Finished] = {}

    def get(fixture: str, *flags: str) -> Finished:
        key = (fixture, *flags)
        if key not in made:
            root = tmp_path_factory.mktemp("target") / "project"
            shutil.copytree(ROOT / "tests" / "fixtures" / fixture, root, ignore=shutil.ignore_patterns("__pycache__"))
            made[key] = readiness(root, *flags)
        return made[key]

    return get


@pytest.fixture(scope="session")
def again() -> Callable[..., Finished]:
    """Runs readiness in a folder that is already there."""
    return readiness
