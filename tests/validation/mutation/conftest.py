"""A small package whose tests are good for one module and vacuous for another, and runs of the command on it."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from audit.report.document import Report
from audit.results import Result

COMMAND = Path(sys.executable).with_name("astrobio-audit")

# No torch: what is mutated is known by its form, and a run without torch takes a tenth of the time.
PARTS = """
class Weight:
    def __init__(self, value):
        self.value, self.grad = value, 0.0


class Loss:
    def __init__(self, weight):
        self.weight = weight
        self.value = (weight.value - 1.0) ** 2

    def backward(self):
        self.weight.grad += 2 * (self.weight.value - 1.0)


class Descent:
    def __init__(self, weight):
        self.weight = weight

    def zero_grad(self):
        self.weight.grad = 0.0

    def step(self):
        self.weight.value -= 0.25 * self.weight.grad
"""
LOOP = """
from zoo.parts import Loss


def fit(weight, optimizer, steps):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = Loss(weight)
        loss.backward()
        optimizer.step()
        losses.append(loss.value)
    return losses
"""
TEST_GOOD = """
import pytest

from zoo.good import fit
from zoo.parts import Descent, Weight


@pytest.fixture(scope="module")
def losses():
    weight = Weight(0.0)
    return fit(weight, Descent(weight), 4)


def test_the_first_loss(losses):
    assert losses[0] == 1.0


def test_every_step_halves_the_distance(losses):
    assert losses == [1.0, 0.25, 0.0625, 0.015625]
"""
TEST_TOY = """
from zoo.parts import Descent, Weight
from zoo.toy import fit


def test_a_loss_for_each_step():
    weight = Weight(0.0)
    assert len(fit(weight, Descent(weight), 3)) == 3


def test_losses_are_numbers():
    weight = Weight(0.0)
    assert all(isinstance(loss, float) for loss in fit(weight, Descent(weight), 3))


def test_nothing_at_all():
    assert True
"""
SETTINGS = '[tool.astrobio-audit]\npackage = "zoo"\nworkers = 1\n'


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run of the command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> Report:
        return Report.model_validate_json(self.stdout)

    @property
    def outcomes(self) -> dict[str, str]:
        return {result.subject.name: result.outcome.value for result in self.report.results}

    def of(self, module: str) -> list[Result]:
        return [result for result in self.report.results if result.subject.module == module]


Write = Callable[..., Path]
Run = Callable[..., Ended]


@pytest.fixture
def project(tmp_path: Path) -> Write:
    """Writes the package and its tests; keywords add or replace files."""

    def write(files: dict[str, str] | None = None) -> Path:
        root = tmp_path / "project"
        every = {
            "pyproject.toml": SETTINGS,
            "zoo/__init__.py": "",
            "zoo/parts.py": PARTS,
            "zoo/good.py": LOOP,
            "zoo/toy.py": LOOP,
            "tests/test_good.py": TEST_GOOD,
            "tests/test_toy.py": TEST_TOY,
            **(files or {}),
        }
        for name, text in every.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        return root

    return write


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `astrobio-audit COMMAND --json` in a process of its own, with a cache of its own."""

    def go(root: Path, *arguments: str, command: str = "mutate", json: bool = True, within_s: float = 280) -> Ended:
        temporary = tmp_path / "temporary"
        temporary.mkdir(exist_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV_"))}
        done = subprocess.run(
            [COMMAND, command, "--target", root, *(["--json"] if json else []), "--quiet", *arguments],
            capture_output=True,
            timeout=within_s,
            check=False,
            env={
                **environment,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "ASTROBIO_AUDIT_CACHE": str(tmp_path / "cache"),
                "TMPDIR": str(temporary),
            },
            cwd=tmp_path,
        )
        left = [path for path in temporary.iterdir() if not path.name.startswith("torchinductor_")]  # torch's own cache
        assert left == [], "copies were left behind"
        return Ended(code=done.returncode, stdout=done.stdout.decode(), stderr=done.stderr.decode())

    return go
