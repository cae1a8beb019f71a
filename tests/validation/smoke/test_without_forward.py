"""Classes of modules that have no forward: bases, which run in what is derived from them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from audit.results import Result
from audit.session import Request, conduct
from validation.smoke.running import plan_with_or_without_specs

from .written import HEAD, SPECS, by_spec, write

BASES = """
class Base(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.layer = nn.Linear(width, 2)

    def start(self):
        self.layer.reset_parameters()

class Unused(Base):
    def forward(self, x):
        return self.layer(x)

class Lone(nn.Module):
    def __init__(self):
        super().__init__()

class Helper(nn.Module):
    def halved(self, x):
        return x / 2

class Given(nn.Module):
    def __init__(self):
        super().__init__()
        self.forward = self.given

    def given(self, x):
        return x
"""


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str | None, Result]:
    files = {"zoo/models.py": HEAD + BASES, "zoo/specs.py": SPECS + "MODELS['right'] = entry_of('Right')\n"}
    found = by_spec(write(tmp_path_factory.mktemp("bases"), files), only=("smoke.reached",))
    return {each.subject.qualname: each for results in found.values() for each in results}


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("Right", "passed"),
        ("Base", "not_applicable"),
        ("Lone", "not_applicable"),
        ("Unused", "failed"),
        ("Helper", "not_applicable"),  # used by its method, if at all
        ("Given", "failed"),
    ],
)
def test_a_base_without_a_forward_need_not_be_reached(
    reached: Mapping[str | None, Result], name: str, outcome: str
) -> None:
    assert reached[name].outcome == outcome, reached[name].reason
    assert ("has no forward" in (reached[name].reason or "")) == (outcome == "not_applicable")


def test_a_base_runs_in_what_is_derived_from_it(tmp_path: Path) -> None:
    specs = SPECS + "MODELS['unused'] = entry_of('Unused')\n"
    found = by_spec(write(tmp_path, {"zoo/models.py": HEAD + BASES, "zoo/specs.py": specs}), only=("smoke.reached",))
    outcomes = {each.subject.qualname: each.outcome for results in found.values() for each in results}
    assert (outcomes["Base"], outcomes["Unused"]) == ("passed", "passed")


def test_without_specs_it_is_not_built(tmp_path: Path) -> None:
    settings = '[tool.astrobio-audit]\npackage = "zoo"\n'
    target = write(tmp_path, {"zoo/models.py": HEAD + BASES, "pyproject.toml": settings})
    only = ["smoke.guessed", "smoke.forward"]
    report = conduct(target, Request(command="smoke", planners=[plan_with_or_without_specs], only=only))
    found = {(each.subject.qualname, each.check): each for each in report.results}
    for check in only:
        assert found["Base", check].outcome == "not_applicable"
        assert "has no forward" in (found["Base", check].reason or "")
    assert found["Unused", "smoke.guessed"].outcome == "passed", found["Unused", "smoke.guessed"].reason
