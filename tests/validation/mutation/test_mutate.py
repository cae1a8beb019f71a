"""`astrobio-audit mutate` on a package whose tests are good for one module and vacuous for the other."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # each runs the tests of a package once for each mutant

COMMAND = Path(sys.executable).with_name("astrobio-audit")
Write = Callable[..., Path]
Run = Callable[..., Any]
TESTS = ("--tests", "pytest tests")
MUTANTS = ("skip_backward@10", "skip_step@11", "skip_zero_grad@8")


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_good_tests_catch_what_vacuous_tests_let_live(project: Write, run: Run) -> None:
    root = project()
    before = content(root)
    ended = run(root, *TESTS)
    assert ended.code == 1
    assert ended.outcomes == {
        **{f"zoo.good:{name}": "passed" for name in MUTANTS},
        **{f"zoo.toy:{name}": "failed" for name in MUTANTS},
    }
    (area,) = ended.report.areas
    assert (area.name, area.score, area.coverage) == ("tests", 0.5, 1.0)
    assert content(root) == before
    survivor = ended.of("zoo.toy")[2]
    assert (survivor.location.path, survivor.location.line) == ("zoo/toy.py", 8)
    assert "-        optimizer.zero_grad()\n+        pass" in survivor.reason
    assert "2 tests pass with it" in survivor.reason  # the two that run the line, and not the third
    assert survivor.severity == "major"
    assert "mutate --tests" in survivor.evidence.reproduce
    assert "--only tests.mutation --subject zoo.toy:skip_zero_grad@8" in survivor.evidence.reproduce
    caught = ended.of("zoo.good")[0]
    assert (caught.evidence.measured, caught.evidence.bound, caught.evidence.unit) == (1, 1, "failing tests")


def test_a_second_run_takes_over_what_no_change_concerns(project: Write, run: Run, tmp_path: Path) -> None:
    root = project()
    count = tmp_path / "count"
    counting = f"import pathlib\nwith pathlib.Path({str(count)!r}).open('a') as file:\n    file.write('x')\n"
    (root / "tests/conftest.py").write_text(counting)
    first = run(root, *TESTS)
    runs = count.stat().st_size
    second = run(root, *TESTS)
    assert second.outcomes == first.outcomes
    assert count.stat().st_size == runs + 1  # the tests are collected, and never run
    # With another test for one module, those of the other stay as they are: two runs without a mutant, and the three
    # mutants of the first, of which each is caught; the tests that catch it are run once without it.
    good = (root / "tests/test_good.py").read_text().replace("zoo.good", "zoo.toy")
    (root / "tests/test_toy.py").write_text(good)
    third = run(root, *TESTS)
    assert set(third.outcomes.values()) == {"passed"}
    assert third.code == 0
    assert count.stat().st_size == runs + 2 + 2 + 3 + 1


def test_the_choice_of_some_mutants_is_told_and_gives_no_verdict(project: Write, run: Run) -> None:
    root = project()
    some = run(root, *TESTS, "--max-mutants", "2", "--seed", "3")
    assert len(some.report.results) == 2
    assert some.report.partial
    assert some.report.partial_reason == "2 of 6 mutants, chosen by the seed 3"
    named = run(root, *TESTS, "--only", "skip_step", "--subject", "zoo.good:skip_step@11")
    assert named.outcomes == {"zoo.good:skip_step@11": "passed"}
    assert named.code == 0
    assert "limited to --only skip_step" in named.report.partial_reason


def test_a_command_that_is_not_pytest_is_judged_by_its_exit_status(project: Write, run: Run) -> None:
    check = """
    from zoo.good import fit
    from zoo.parts import Descent, Weight

    weight = Weight(0.0)
    assert fit(weight, Descent(weight), 2) == [1.0, 0.25]
    """
    ended = run(project({"check.py": check}), "--tests", "python check.py")
    assert ended.outcomes["zoo.good:skip_step@11"] == "passed"
    assert ended.outcomes["zoo.toy:skip_step@11"] == "failed"
    assert "the command is not pytest" in ended.of("zoo.toy")[0].reason


def test_tests_that_never_end_with_a_mutant_are_caught_by_the_time_limit(project: Write, run: Run) -> None:
    endless = """
    from zoo.good import fit
    from zoo.parts import Descent, Weight


    def test_until_it_is_learned():
        weight = Weight(0.0)
        while weight.value < 0.5:
            fit(weight, Descent(weight), 1)
    """
    root = project({"tests/test_good.py": endless})
    ended = run(root, *TESTS, "--only", "skip_step", "--subject", "zoo.good:skip_step@11")
    (result,) = ended.report.results
    assert result.outcome == "passed"
    assert result.evidence.unit == "runs over the time limit"


def test_when_the_time_is_over_the_rest_is_skipped_and_nothing_is_clean(project: Write, run: Run) -> None:
    ended = run(project(), *TESTS, "--time-limit", "0")
    assert set(ended.outcomes.values()) == {"skipped"}
    assert ended.code == 3
    assert "time limit of 0 s" in ended.report.results[0].reason


RED = "def test_red():\n    assert 1 == 2, 'one is not two'\n"
FLAKY = """
import pathlib

def test_the_first_time_only(tmp_path_factory):
    seen = pathlib.Path({path!r})
    first = not seen.exists()
    seen.touch()
    assert first
"""
ELSEWHERE = "import sys\nsys.path.insert(0, {path!r})\nimport zoo.good\n"


def test_red_tests_are_an_error_that_is_told_once(project: Write, run: Run) -> None:
    ended = run(project({"tests/test_red.py": RED}), *TESTS)
    assert ended.code == 3
    assert sorted(set(ended.outcomes.values())) == ["error", "skipped"]
    (error,) = [result for result in ended.report.results if result.outcome == "error"]
    assert error.reason.startswith("the tests fail without a mutant: 1 of 6 tests, first tests/test_red.py::test_red")
    assert "one is not two" in error.reason
    assert "\n" not in error.reason


def test_flaky_tests_give_no_score(project: Write, run: Run, tmp_path: Path) -> None:
    flaky = FLAKY.format(path=str(tmp_path / "seen"))
    ended = run(project({"tests/test_flaky.py": flaky}), *TESTS)
    assert ended.code == 3
    (error,) = [result for result in ended.report.results if result.outcome == "error"]
    assert "flaky" in error.reason
    assert "test_the_first_time_only" in error.reason


def test_tests_of_another_copy_of_the_package_give_no_score(project: Write, run: Run, tmp_path: Path) -> None:
    other = tmp_path / "installed" / "zoo"
    other.mkdir(parents=True)
    for name in ("__init__", "parts", "good"):
        (other / f"{name}.py").write_bytes((project() / "zoo" / f"{name}.py").read_bytes())
    root = project({"tests/conftest.py": ELSEWHERE.format(path=str(other.parent))})
    (root / "tests/test_toy.py").unlink()
    ended = run(root, *TESTS)
    assert ended.code == 3
    (error,) = [result for result in ended.report.results if result.outcome == "error"]
    assert "and not from the copy" in error.reason


def test_a_command_that_does_not_run_the_package_gives_no_score(project: Write, run: Run) -> None:
    ended = run(project({"check.py": "print('11/11 passing')\n"}), "--tests", "python check.py")
    assert ended.code == 3
    (error,) = [result for result in ended.report.results if result.outcome == "error"]
    assert "the tests pass when zoo cannot be imported" in error.reason


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--tests", "pytest empty"), "no tests found"),
        (("--tests", "pytest nowhere"), "file or directory not found: nowhere"),
        (("--tests", "pytest --no-such-option"), "unrecognized arguments: --no-such-option"),
        (("--tests", ""), "name the command that runs your tests"),
        (("--tests", "no-such-program at all"), "there is no program no-such-program"),
        (("--tests", "pytest 'tests"), "No closing quotation"),
        ((*TESTS, "--only", "no_such_operator"), "no such operator; there are: detach, "),
        ((*TESTS, "--only", "flip_mask"), "nothing to mutate"),
    ],
)
def test_what_the_user_has_to_correct_is_one_line(
    project: Write, run: Run, arguments: tuple[str, ...], line: str
) -> None:
    ended = run(project({"empty/README": ""}), *arguments, json=False)
    assert ended.code == 2
    assert line in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


def test_tests_that_write_into_the_repository_write_into_the_copy_and_it_is_put_back(project: Write, run: Run) -> None:
    writing = """
    from pathlib import Path

    HERE = Path(__file__).parent.parent

    def test_it_writes():
        assert not (HERE / "written").exists()
        (HERE / "written").touch()
        assert (HERE / "zoo/parts.py").read_text()
        (HERE / "zoo/parts.py").write_text("")
    """
    root = project({"tests/test_z_writing.py": writing})
    before = content(root)
    ended = run(root, *TESTS, "--only", "skip_step")
    assert ended.outcomes == {"zoo.good:skip_step@11": "passed", "zoo.toy:skip_step@11": "failed"}
    assert content(root) == before


def test_a_run_that_is_stopped_reports_what_it_has_and_leaves_nothing_running(project: Write, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    endless = f"""
    import pathlib, subprocess, sys, time

    def test_endless():
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # pytest"], start_new_session=True)
        pathlib.Path({str(begun)!r}).touch()
        time.sleep(600)
    """
    root = project({"tests/test_a_endless.py": endless})
    mark = f"ASTROBIO_AUDIT_TEST_RUN={tmp_path}"
    name, _, value = mark.partition("=")
    environment = {**os.environ, name: value, "ASTROBIO_AUDIT_CACHE": str(tmp_path / "cache")}
    command = [str(COMMAND), "mutate", "--target", str(root), "--json", *TESTS]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not begun.exists() and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 3
    report = json.loads(stdout)
    assert report["interrupted"]
    assert {each["outcome"] for each in report["results"]} == {"error"}
    assert _running(mark) == []


def _running(mark: str) -> list[str]:
    """Return the processes of a run; a killed one may need a moment to be gone."""
    deadline = time.monotonic() + 10
    while (found := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _marked(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # ended in the meantime, or another user's
            continue
    return found
