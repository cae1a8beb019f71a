import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.report.document import Report

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter without torch."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def outcomes(text: str) -> dict[str, str]:
    report = Report.model_validate_json(text)
    return {result.check.removeprefix("doctor."): result.outcome.value for result in report.results}


def test_the_auditors_own_interpreter_has_what_is_needed(run: Run) -> None:
    done = run("doctor", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = outcomes(done.stdout)
    assert found.keys() == {"python", "torch", "memory", "cuda", "triton", "flash_attn"}
    assert (found["python"], found["torch"]) == ("passed", "passed")
    environment = json.loads(done.stdout)["provenance"]["environment"]
    assert environment["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")


def test_an_interpreter_without_torch_is_examined_as_far_as_it_goes(run: Run, bare: Path) -> None:
    done = run("doctor", "--python", str(bare), "--json")
    assert (done.returncode, done.stderr) == (1, "")
    assert outcomes(done.stdout) == {
        "python": "passed",
        "torch": "failed",
        "memory": "error",
        "cuda": "error",
        "triton": "error",
        "flash_attn": "error",
    }


def test_the_summary_says_what_is_missing_and_what_to_do(run: Run, bare: Path) -> None:
    done = run("doctor", "--python", str(bare))
    assert done.returncode == 1
    assert "No module named 'torch'" in done.stdout
    assert "fix: install torch 2.11 or newer into this environment" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("verdict: findings")


def test_what_is_missing_names_what_it_disables(run: Run) -> None:
    report = Report.model_validate_json(run("doctor", "--json").stdout)
    shown = run("doctor").stdout
    skipped = [result for result in report.results if result.outcome.value == "skipped"]
    assert skipped or report.score == 1
    assert all(f"skipped  {result.check} " in shown and (result.reason or "?") in shown for result in skipped)


def test_quiet_leaves_the_exit_code(run: Run, bare: Path) -> None:
    done = run("doctor", "--python", str(bare), "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.parametrize("text", ["exit 7", "echo hello", "kill -9 $$"])
def test_a_program_that_is_no_python_is_a_finding(run: Run, tmp_path: Path, text: str) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    done = run("doctor", "--python", str(program), "--json")
    assert (done.returncode, done.stderr) == (1, "")
    found = outcomes(done.stdout)
    assert found["python"] == "failed"
    assert "passed" not in found.values()


def test_an_interpreter_with_an_odd_name_is_shown_as_it_is_called(run: Run, tmp_path: Path) -> None:
    program = tmp_path / "[red]python[bold]"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    done = run("doctor", "--python", str(program))
    assert done.returncode == 1, done.stderr
    assert "doctor: [red]python[bold]" in done.stdout


def test_modules_in_the_current_folder_are_not_taken_for_the_interpreters(run: Run, tmp_path: Path) -> None:
    for name in ("torch", "triton", "json", "platform", "audit"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the current folder')")
    done = run("doctor", "--json", "--python", sys.executable, cwd=tmp_path)
    assert "taken from the current folder" not in done.stdout + done.stderr
    assert outcomes(done.stdout) == outcomes(run("doctor", "--json", "--python", sys.executable).stdout)
    assert outcomes(done.stdout)["torch"] == "passed"


def test_an_interpreter_whose_name_is_no_text_is_examined(run: Run, tmp_path: Path) -> None:
    program = tmp_path / os.fsdecode(b"py\xff")
    program.symlink_to(sys.executable)
    done = run("doctor", "--json", "--python", str(program))
    assert done.returncode in (0, 1), done.stderr
    assert outcomes(done.stdout)["python"] == "passed"
