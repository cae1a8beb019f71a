"""Writes a small package that publishes a claim, and measures it."""

import functools
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from audit.report.document import Report
from audit.results import Result
from audit.session import Request, conduct
from audit.target import Target
from validation.claims.command import alone
from validation.claims.plan import plan_claims

MODULE = """
import json, sys, time
import torch

def inputs(generator):
    return {"x": torch.randn(64, 64, generator=generator)}

def slow(x):
    time.sleep(0.005)  # a thousand times what the other takes, so that a busy machine changes nothing
    return x + x

def very_slow(x):
    time.sleep(0.3)
    return x * 2

def fast(x):
    return x * 2

def wrong(x):
    return x * 2 + 1e-3

def wrong_later(x, calls=[0]):
    calls[0] += 1
    return x * 2 + (calls[0] > 4)

def raises(x):
    return x + x[:3]

def constant(x):
    return torch.ones(3)

def only_float32(x):
    assert x.dtype == torch.float32
    return x * 2

def large(x):
    return (x[None] * torch.ones(50, 1, 1)).sum(0) / 50

def small(x):
    return x.clone()

def right(seed):
    return torch.arange(1000) % 50 != 0

def none_right(seed):
    return []

def numbers(seed):
    return torch.ones(5)

def figure(seed):
    return 0.5 + seed / 10

def not_finite(seed):
    return float("nan")

def endless(seed):
    while True:
        pass

if __name__ == "__main__":
    print("some words before")
    print(json.dumps({"seed": int(sys.argv[1]), "figures": {"accuracy": 0.98, "samples": 1000, "odd": 0.98765}}))
    with open("written.json", "w") as file:
        json.dump({"loss": 0.25}, file)
    sys.exit(3 if "fail" in sys.argv else 0)
"""
README = "# Zoo\n\nThis is true,\nas we say: it holds.\n"


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the package with the keys of one claim; what each claim has is added where they lack it."""

    def write(keys: str, extra: str = "") -> Path:
        (tmp_path / "zoo").mkdir(exist_ok=True)
        (tmp_path / "zoo" / "__init__.py").touch()
        (tmp_path / "zoo" / "measured.py").write_text(MODULE)
        (tmp_path / "README.md").write_text(README)
        text = dedent(keys)
        text = text if "id =" in text else f'id = "it"\n{text}'
        text = text if "statement =" in text else f'statement = "it holds"\n{text}'
        text = text if "published =" in text else f'published = {{ file = "README.md", text = "as we say" }}\n{text}'
        (tmp_path / "pyproject.toml").write_text(
            f'[tool.astrobio-audit]\npackage = "zoo"\n{extra}\n[[tool.astrobio-audit.claims]]\n{text}'
        )
        return tmp_path

    return write


@pytest.fixture
def report(project: Callable[..., Path]) -> Callable[..., Report]:
    """Measures a claim and returns the report."""

    def measure(keys: str, *, slow: bool = False, seed: int | None = None) -> Report:
        target = alone(Target.load(project(keys), seed=seed))
        return conduct(target, Request(command="claims", planners=[functools.partial(plan_claims, slow=slow)]))

    return measure


@pytest.fixture
def measured(report: Callable[..., Report]) -> Callable[..., Result]:
    """Measures a claim and returns its one result."""

    def measure(keys: str, *, slow: bool = False, seed: int | None = None) -> Result:
        results = report(keys, slow=slow, seed=seed).results
        assert len(results) == 1
        assert "internal error" not in (results[0].reason or "")
        return results[0]

    return measure
