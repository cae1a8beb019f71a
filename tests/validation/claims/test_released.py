"""Claims as a part of readiness: a kind that is not claimed has nothing to verify, and what is slow is not measured."""

from collections.abc import Callable
from pathlib import Path

import pytest

from audit.report.document import Report
from audit.session import Request, conduct
from audit.target import Target
from validation.claims.kinds import CHECKS
from validation.claims.plan import plan_released_claims

CLAIM = """
[[tool.astrobio-audit.claims]]
id = "three_right"
kind = "accuracy"
statement = "all right"
published = { file = "README.md", text = "all right" }
measure = "zoo.measured:right"
at_least = 0.9
"""


@pytest.fixture
def released(tmp_path: Path) -> Callable[..., Report]:
    """Carries out the claims of a package as readiness does."""

    def run(claims: str = "", *, slow: bool = False) -> Report:
        package = tmp_path / "project" / "zoo"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "measured.py").write_text("def right(seed):\n    return [True] * 100\n")
        (package.parent / "README.md").write_text("all right\n")
        (package.parent / "pyproject.toml").write_text(f'[tool.astrobio-audit]\npackage = "zoo"\n{claims}')
        planner = lambda collected: plan_released_claims(collected, slow=slow)  # noqa: E731
        return conduct(Target.load(package.parent), Request(command="readiness", planners=[planner], release=True))

    return run


def test_a_package_that_claims_nothing_has_nothing_to_verify(released: Callable[..., Report]) -> None:
    report = released()
    assert {result.check for result in report.results} == {check.id for check in CHECKS}
    assert {result.outcome.value for result in report.results} == {"not_applicable"}
    assert {result.subject.name for result in report.results} == {"zoo"}


def test_only_the_kinds_that_are_not_claimed_are_not_applicable(released: Callable[..., Report]) -> None:
    report = released(CLAIM)
    found = {result.check: (result.subject.name, result.outcome.value) for result in report.results}
    assert found.pop("claims.accuracy") == ("three_right", "passed")
    assert set(found.values()) == {("zoo", "not_applicable")}


def test_a_slow_claim_is_skipped_and_says_what_measures_it(released: Callable[..., Report]) -> None:
    (result,) = [each for each in released(f"{CLAIM}slow = true\n").results if each.subject.name == "three_right"]
    assert result.outcome.value == "skipped"
    assert (result.reason or "").startswith("not run: slow, ")
    assert "`astrobio-audit claims --slow`" in (result.reason or "")
    assert (result.evidence.reproduce or "").startswith("astrobio-audit claims --slow --only claims.accuracy")


def test_a_slow_claim_is_measured_where_that_is_asked_for(released: Callable[..., Report]) -> None:
    report = released(f"{CLAIM}slow = true\n", slow=True)
    (result,) = [each for each in report.results if each.subject.name == "three_right"]
    assert result.outcome.value == "passed"
