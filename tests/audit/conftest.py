"""Makers of checks, results and reports. Session-wide, so that hypothesis may use them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.report.document import Provenance, Report, build_report
from audit.results import Check, Comparison, Evidence, Outcome, Result, Severity, Subject, SubjectKind
from audit.target import Target

MakeCheck = Callable[..., Check]
MakeResult = Callable[..., Result]
MakeReport = Callable[..., Report]
MakeTarget = Callable[..., Target]

EVIDENCE = {
    Outcome.PASSED: Evidence(measured=1, bound=1, comparison=Comparison.AT_LEAST, bound_origin="one is enough"),
    Outcome.FAILED: Evidence(measured=0, bound=1, comparison=Comparison.AT_LEAST, bound_origin="one is enough"),
}


@pytest.fixture(scope="session")
def make_check() -> MakeCheck:
    def make(name: str = "area.first", severity: Severity = Severity.CRITICAL) -> Check:
        return Check(id=name, title=name, proves="what it says", defect="a broken subject", severity=severity)

    return make


@pytest.fixture(scope="session")
def make_result() -> MakeResult:
    """Makes an honest result; keywords replace its fields."""

    def make(
        outcome: Outcome = Outcome.PASSED,
        check: str = "area.first",
        *,
        severity: Severity = Severity.CRITICAL,
        name: str = "subject",
        **changes: Any,
    ) -> Result:
        fields: dict[str, Any] = {
            "check": check,
            "outcome": outcome,
            "reason": None if outcome is Outcome.PASSED else f"it was {outcome.value}",
            "severity": severity,
            "subject": Subject(kind=SubjectKind.MODEL, spec=name),
            "evidence": EVIDENCE.get(outcome, Evidence()),
        }
        return Result(**(fields | changes))

    return make


@pytest.fixture(scope="session")
def make_report(make_check: MakeCheck) -> MakeReport:
    """Makes a report of the given results, which lists a check for each."""

    def make(
        results: Sequence[Result],
        *,
        release: bool = True,
        package: str = "zoo",
        command: str = "readiness",
        **more: Any,
    ) -> Report:
        severities = {result.check: result.severity for result in results}
        provenance = Provenance(
            command="astrobio-audit readiness",
            package=package,
            package_digest="sha256:" + 64 * "0",
            config_digest="sha256:" + 64 * "1",
            commit="0" * 40,
            dirty=False,
            seed=0,
            python="3.11.7",
            torch=None,
            platform="Linux 6",
            machine="x86_64",
            environment=None,
            started_at="2026-01-01T00:00:00Z",
            finished_at="2026-01-01T00:00:01Z",
        )
        given = {"partial_reason": None, "provenance": provenance} | more
        checks = tuple(make_check(name, severity) for name, severity in severities.items())
        return build_report(command=command, **{"checks": checks} | given, results=list(results), release=release)

    return make


@pytest.fixture
def make_target(tmp_path: Path) -> MakeTarget:
    """Makes a target with an empty package `zoo` and the given table; its interpreter is the tests' own."""

    def make(table: str = "", **flags: Any) -> Target:
        package = tmp_path / "project" / "zoo"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text("")
        text = f'[tool.astrobio-audit]\npackage = "zoo"\n{table}\n'
        (tmp_path / "project" / "pyproject.toml").write_text(text)
        return Target.load(tmp_path / "project", **flags)

    return make


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the package `zoo` and no configuration."""
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").write_text("")
    return tmp_path
