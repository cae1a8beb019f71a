"""What was measured before is measured again when the code of whoever plans or judges has changed."""

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit import own_code
from audit.own_code import OWN, digest_of_packages, packages_of
from audit.session import Request, conduct
from audit.target import Target

PLANNER = """
from audit.judgement import Measured, judged
from audit.plan import Group, PlannedCheck
from audit.results import Check, Severity, Subject, SubjectKind
from foreign_judges.judges import judge

CHECK = Check(id="area.counted", title="t", proves="p", defect="d", severity=Severity.MAJOR)

def plan(collected):
    subject = Subject(kind=SubjectKind.PACKAGE, module="zoo")
    return (Group(subject=subject, planned=(PlannedCheck(check=CHECK, subject=subject, judge=judge),), is_kept=True),)
"""
JUDGES = """
from audit.judgement import Measured, judged

calls = []

def judge(run):
    calls.append(run)
    return judged(Measured(value=1, bound=1, origin="one"), otherwise="never")
"""


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two packages beside ours: one plans, and the other judges."""
    for name, module, text in (("foreign_plans", "plans", PLANNER), ("foreign_judges", "judges", JUDGES)):
        package = tmp_path / "site" / name
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("ASTROBIO_AUDIT_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "site"
    for name in [name for name in sys.modules if name.startswith("foreign_")]:
        del sys.modules[name]


@pytest.mark.parametrize("changed", ["foreign_plans/plans.py", "foreign_judges/judges.py"])
def test_a_result_is_kept_until_the_code_of_a_package_that_takes_part_changes(
    make_target: Callable[..., Target], foreign: Path, changed: str
) -> None:
    plan: Any = importlib.import_module("foreign_plans.plans").plan
    calls: list[object] = importlib.import_module("foreign_judges.judges").calls
    target = make_target()

    def measured() -> int:
        own_code._digest_of.cache_clear()  # as in a new process
        report = conduct(target, Request(command="area", planners=[plan], cache=True, keeps_results=True))
        assert [result.outcome.value for result in report.results] == ["passed"]
        return len(calls)

    assert [measured(), measured()] == [1, 1]
    with (foreign / changed).open("a") as file:
        file.write("\nANOTHER_BOUND = 2\n")
    assert [measured(), measured()] == [2, 2]


def test_a_partial_is_of_the_package_whose_function_it_calls() -> None:
    assert packages_of([functools.partial(functools.partial(pytest.fail, "never"), "ever")]) == {OWN, "_pytest"}


def test_of_a_package_without_files_nothing_is_known() -> None:
    assert digest_of_packages(["builtins"]) is None
    assert digest_of_packages(["never_imported"]) is None
    assert digest_of_packages([OWN]) is not None
