"""The owner's tests as a part of readiness: judged where the configuration says what runs them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]
Run = Callable[..., Any]
SETTINGS = '[tool.astrobio-audit]\npackage = "zoo"\nworkers = 1\n'


def judged(run: Run, root: Path, *arguments: str) -> Any:
    return run(root, "--only", "tests", *arguments, command="readiness")


def test_tests_that_are_not_configured_are_not_run(project: Write, run: Run) -> None:
    root = project({"tests/test_good.py": "raise SystemExit('was run')"})
    ended = judged(run, root)
    (result,) = ended.report.results
    assert (result.check, result.subject.name, result.outcome.value) == ("tests.mutation", "zoo", "not_applicable")
    assert "it is not configured what runs the tests" in result.reason


def test_another_area_alone_looks_for_no_mutants(project: Write, run: Run) -> None:
    root = project({"pyproject.toml": f'{SETTINGS}tests = "no such command"\n'})
    ended = run(root, "--only", "static.parses", command="readiness")
    assert {area.name for area in ended.report.areas} == {"static"}


def test_a_command_that_cannot_be_run_is_an_error_of_this_area_alone(project: Write, run: Run) -> None:
    root = project({"pyproject.toml": f'{SETTINGS}tests = "no such command"\n'})
    (result,) = judged(run, root).report.results
    assert (result.subject.name, result.outcome.value) == ("zoo", "error")
    assert "there is no program no" in result.reason


@pytest.mark.slow  # runs the tests of a package once for each mutant, as the tests of `mutate` do
@pytest.mark.timeout(600)
def test_configured_tests_are_judged_and_what_mutate_has_found_is_taken_over(
    project: Write, run: Run, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    counting = f"import pathlib\nwith pathlib.Path({str(count)!r}).open('a') as file:\n    file.write('x')\n"
    settings = f'{SETTINGS}tests = "pytest tests"\ntests_limit_s = 500\n'
    root = project({"pyproject.toml": settings, "tests/conftest.py": counting})
    first = judged(run, root)
    assert {area.name: (area.score, area.coverage) for area in first.report.areas} == {"tests": (0.5, 1.0)}
    assert first.code == 1
    runs = count.stat().st_size
    assert judged(run, root).outcomes == first.outcomes
    assert count.stat().st_size == runs
    assert run(root).outcomes == first.outcomes  # of `mutate`, which takes the command from the configuration
    reproduce = first.report.results[0].evidence.reproduce
    assert reproduce.startswith("astrobio-audit mutate --tests 'pytest tests' --only tests.mutation --subject ")


def test_mutants_for_which_there_is_no_time_are_skipped_and_not_passed(project: Write, run: Run) -> None:
    root = project({"pyproject.toml": f'{SETTINGS}tests = "pytest tests"\ntests_limit_s = 1e-6\n'})
    ended = judged(run, root)
    assert {result.outcome.value for result in ended.report.results} == {"skipped"}
    assert all("not tried: the time limit of 1e-06 s" in result.reason for result in ended.report.results)
    assert ended.code == 3
