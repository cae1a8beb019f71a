"""What was measured of a claim counts until something changes that it depends on."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.collected import Collected
from audit.results import Outcome, Result
from audit.session import Request, conduct
from audit.target import Target
from validation.claims.command import alone
from validation.claims.plan import plan_claims, plan_released_claims

# The command says outside of the project that it was run: what lies in the project is a part of what it depends on.
MODULE = """
import json, pathlib

def inputs(generator):
    return {}

if __name__ == "__main__":
    here = pathlib.Path(__file__).parents[1]
    with open(here.parent / "runs", "a") as file:
        file.write("x")
    print(json.dumps(json.loads((here / "held_out.json").read_text())))
"""
CLAIMS = """
[[tool.astrobio-audit.claims]]
id = "long"
kind = "accuracy"
statement = "nearly all right"
published = { file = "README.md", text = "gets nearly all right" }
command = ["{python}", "-m", "zoo.measured"]
figure = "accuracy"
samples = "samples"
reads = ["held_*.json"]
at_least = 0.9
slow = true
"""
OTHERS = """
[[tool.astrobio-audit.claims]]
id = "fast"
kind = "speed_ratio"
statement = "nearly all right"
published = { file = "README.md", text = "nearly all right" }
baseline = "zoo.measured:inputs"
candidate = "zoo.measured:inputs"
inputs = "zoo.measured:inputs"
at_least = 2.0

[[tool.astrobio-audit.claims]]
id = "on_gpu"
kind = "metric"
statement = "nearly all right"
published = { file = "README.md", text = "nearly all right" }
measure = "zoo.measured:inputs"
at_least = 2.0
reads = []
needs = { device = "gpu" }

[[tool.astrobio-audit.claims]]
id = "short"
kind = "metric"
statement = "nearly all right"
published = { file = "README.md", text = "nearly all right" }
measure = "zoo.measured:inputs"
reads = []
at_least = 2.0

[[tool.astrobio-audit.claims]]
id = "undeclared"
kind = "metric"
statement = "nearly all right"
published = { file = "README.md", text = "nearly all right" }
measure = "zoo.measured:inputs"
at_least = 2.0
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASTROBIO_AUDIT_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "project"
    (root / "zoo").mkdir(parents=True)
    (root / "zoo" / "__init__.py").touch()
    (root / "zoo" / "measured.py").write_text(MODULE)
    (root / "README.md").write_text("It gets nearly all right.\n")
    (root / "held_out.json").write_text(json.dumps({"accuracy": 0.99, "samples": 1000}))
    (root / "pyproject.toml").write_text(f'[tool.astrobio-audit]\npackage = "zoo"\n{CLAIMS}')
    return root


def measured(root: Path, *, slow: bool) -> Result:
    planner = functools.partial(plan_claims, slow=slow)
    request = Request(command="claims", planners=[planner], cache=True, keeps_results=True)
    (result,) = conduct(alone(Target.load(root)), request).results
    return result


def released(root: Path) -> Result:
    """The claim as a part of readiness, which leaves out what is slow."""
    planner = functools.partial(plan_released_claims, slow=False)
    request = Request(command="readiness", planners=[planner], release=True, cache=True, keeps_results=True)
    (result,) = [each for each in conduct(Target.load(root), request).results if each.subject.name == "long"]
    return result


def runs(root: Path) -> int:
    return len((root.parent / "runs").read_text())


def test_a_slow_claim_that_was_measured_counts_in_readiness(project: Path) -> None:
    assert released(project).outcome is Outcome.SKIPPED
    first = measured(project, slow=True)
    assert (first.outcome, first.evidence.measured_at) == (Outcome.PASSED, None)
    for found in (released(project), measured(project, slow=False), measured(project, slow=True)):
        assert found.outcome is Outcome.PASSED
        assert found.evidence.measured_at
        assert found.evidence.measured == first.evidence.measured
        assert "--slow" in (found.evidence.reproduce or "")
    assert runs(project) == 1


def set_accuracy(root: Path) -> None:
    (root / "held_out.json").write_text(json.dumps({"accuracy": 0.5, "samples": 1000}))


def edit_code(root: Path) -> None:
    with (root / "zoo" / "measured.py").open("a") as file:
        file.write("\nTHRESHOLD = 1\n")


def claim_more(root: Path) -> None:
    path = root / "pyproject.toml"
    path.write_text(path.read_text().replace("at_least = 0.9", "at_least = 0.98"))


@pytest.mark.parametrize("change", [set_accuracy, edit_code, claim_more])
def test_what_it_depends_on_has_it_measured_anew(project: Path, change: Callable[[Path], None]) -> None:
    measured(project, slow=True)
    change(project)
    assert released(project).outcome is Outcome.SKIPPED
    again = measured(project, slow=True)
    assert again.outcome is (Outcome.FAILED if change is set_accuracy else Outcome.PASSED)
    assert again.evidence.measured_at is None
    assert runs(project) == 2


def test_what_it_does_not_read_changes_nothing(project: Path) -> None:
    measured(project, slow=True)
    with (project / "README.md").open("a") as file:
        file.write("\nMore words.\n")
    (project / "README.md").write_text("A first line.\n" + (project / "README.md").read_text())
    (project / "notes.json").write_text("{}")
    assert released(project).outcome is Outcome.PASSED
    assert runs(project) == 1


@pytest.mark.parametrize("place", ["ignored/figures.json", "linked/figures.json", "notes.md"])
def test_what_it_reads_counts_wherever_it_lies(project: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (project / "ignored").mkdir()
    (project / "linked").symlink_to(tmp_path / "elsewhere")
    path = project / "pyproject.toml"
    path.write_text(path.read_text().replace('"held_*.json"', '"ignored", "linked", "*.md"'))
    (project / place).write_text("{}")
    measured(project, slow=True)
    assert released(project).outcome is Outcome.PASSED
    (project / place).write_text("[]")
    assert released(project).outcome is Outcome.SKIPPED


def test_speeds_and_what_needs_a_gpu_are_measured_each_time(project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_text(path.read_text() + OTHERS)
    collected = Collected(Target.load(project), cache=False)
    try:
        groups = {group.subject.name: group for group in plan_claims(collected, slow=True)}
    finally:
        collected.close()
    assert {name for name, group in groups.items() if group.is_kept} == {"long", "short"}
