import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import typer

from audit import doctor
from audit.errors import UsageError
from audit.report.document import Device, Environment, Report
from audit.results import Outcome, Severity

GIB = 1024**3
COMPLETE = Environment(
    python="3.11.7",
    torch="2.11.0+cpu",
    cuda="12.8",
    devices=(Device(name="H200", memory_bytes=139 * GIB, capability="9.0"),),
    libraries={"triton": "3.6.0", "flash_attn": "2.8.1"},
    threads=4,
    cpu_count=4,
    memory_bytes=16 * GIB,
)
Examine = Callable[..., Report]


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Examines an interpreter that has what is given, or that the probe could not start in for the given reason."""

    def run(found: Environment | str, *, python: Path = Path(sys.executable)) -> Report:
        delivered: list[Report] = []

        def deliver(report: Report, **_: object) -> None:
            delivered.append(report)
            raise typer.Exit(report.exit_code)

        monkeypatch.setattr(doctor, "deliver", deliver)
        monkeypatch.setattr(doctor, "_environment", lambda python: found)
        with pytest.raises(typer.Exit):
            doctor.examine(python, Path(), as_json=False, quiet=True)
        (report,) = delivered
        return report

    return run


def outcomes(report: Report, wanted: Sequence[Outcome]) -> dict[str, str]:
    return {
        result.check.removeprefix("doctor."): result.reason or ""
        for result in report.results
        if result.outcome in wanted
    }


def test_an_interpreter_with_everything_is_clean(examine: Examine) -> None:
    report = examine(COMPLETE)
    assert outcomes(report, [Outcome.PASSED]).keys() == {"python", "torch", "memory", "cuda", "triton", "flash_attn"}
    assert (report.verdict, report.exit_code) == ("clean", 0)


def test_what_is_optional_and_missing_is_skipped_with_what_it_disables(examine: Examine) -> None:
    bare = COMPLETE.model_copy(update={"devices": (), "cuda": None, "libraries": {"triton": None, "flash_attn": None}})
    report = examine(bare)
    assert outcomes(report, [Outcome.SKIPPED]) == {
        "cuda": "torch sees none: GPU code paths are not run and no kernel is timed on a GPU",
        "triton": "not installed: Triton kernels are not run; torch.compile has no GPU backend",
        "flash_attn": "not installed: FlashAttention branches are not run; SDPA and eager are",
    }
    assert (report.verdict, report.exit_code) == ("clean", 0)
    assert report.score == 0.5


@pytest.mark.parametrize(
    ("change", "check", "reason"),
    [
        ({"python": "3.10.14"}, "python", "3.10.14 is older than 3.11"),
        ({"python": "2.7.18"}, "python", "2.7.18 is older than 3.11"),
        ({"torch": "2.9.1"}, "torch", "2.9.1 is older than 2.11"),
        ({"torch": "1.13.0"}, "torch", "1.13.0 is older than 2.11"),
    ],
)
def test_what_is_too_old_is_a_finding(examine: Examine, change: dict[str, str], check: str, reason: str) -> None:
    report = examine(COMPLETE.model_copy(update=change))
    assert outcomes(report, [Outcome.FAILED]) == {check: reason}
    assert (report.verdict, report.exit_code) == ("findings", 1)


@pytest.mark.parametrize("torch", ["2.11.0", "2.11.0a0+git1234", "2.13.1+cu128", "3.0", "2.100.0"])
def test_versions_are_compared_as_numbers(examine: Examine, torch: str) -> None:
    assert "torch" in outcomes(examine(COMPLETE.model_copy(update={"torch": torch})), [Outcome.PASSED])


@pytest.mark.parametrize("torch", ["", "unknown", "2", "2.1000", "2." + 5000 * "1", 5000 * "1" + ".0", "1.git2.99"])
def test_a_version_that_is_none_is_an_error(examine: Examine, torch: str) -> None:
    report = examine(COMPLETE.model_copy(update={"torch": torch}))
    assert outcomes(report, [Outcome.ERROR]) == {"torch": f"version {torch!r} cannot be compared"}
    assert report.exit_code == 3


def test_little_memory_is_reported_and_does_not_gate(examine: Examine) -> None:
    report = examine(COMPLETE.model_copy(update={"memory_bytes": 2 * GIB}))
    assert outcomes(report, [Outcome.FAILED]).keys() == {"memory"}
    assert report.exit_code == 0


def test_an_interpreter_without_torch_is_told_apart_from_none(examine: Examine) -> None:
    report = examine("the probe cannot run in python: ModuleNotFoundError: No module named 'torch'")
    assert outcomes(report, [Outcome.PASSED]).keys() == {"python"}
    assert "No module named 'torch'" in outcomes(report, [Outcome.FAILED])["torch"]
    assert outcomes(report, [Outcome.ERROR]).keys() == {"memory", "cuda", "triton", "flash_attn"}
    assert report.exit_code == 1


@pytest.mark.parametrize(
    "problem", ["timed out: environment took longer than 60 s", "the target's process was killed by SIGSEGV"]
)
def test_a_probe_that_ends_for_another_reason_says_nothing_about_torch(examine: Examine, problem: str) -> None:
    report = examine(problem)
    assert outcomes(report, [Outcome.PASSED]).keys() == {"python"}
    assert outcomes(report, [Outcome.ERROR])["torch"] == problem
    assert report.exit_code == 3


def test_of_an_interpreter_that_is_too_old_for_the_probe_only_its_age_is_told(examine: Examine, tmp_path: Path) -> None:
    report = examine("the probe cannot run in python: SyntaxError: invalid syntax", python=pretending(tmp_path, "2.7"))
    assert outcomes(report, [Outcome.FAILED]) == {"python": "2.7 is older than 3.11"}


def pretending(folder: Path, version: str) -> Path:
    """A program that gives itself out as a Python of that version."""
    (folder / "python").write_text(f"#!/bin/sh\necho {version}\n")
    (folder / "python").chmod(0o755)
    return folder / "python"


def test_what_is_reported_can_be_repeated(examine: Examine, tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    report = examine("did not start", python=pretending(folder, "3.12"))
    assert {each.evidence.reproduce for each in report.results} == {f"astrobio-audit doctor --python '{folder}/python'"}


def test_a_program_that_is_no_python_is_a_finding_and_nothing_else_is_claimed(examine: Examine, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    report = examine("did not start", python=program)
    assert outcomes(report, [Outcome.FAILED]).keys() == {"python"}
    assert outcomes(report, [Outcome.PASSED]) == {}
    assert report.exit_code == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "echo pretends 3.11.7; exit 1",
        "echo 3.11.7; exit 1",
        "echo",
        "echo hello",
        'echo "$@"',
        "echo 3.11.7; echo and more",
        "kill -9 $$",
        "exec yes 3.11",
        "echo 3.11.7; sleep 300",
        "echo 3.11.7; exec >/dev/null; sleep 300",
    ],
)
def test_a_version_is_believed_only_from_a_program_that_says_it_and_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(doctor, "_START_TIMEOUT_S", 2)
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    assert doctor._bare_version(program) is None


def test_what_a_program_leaves_running_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nsetsid sleep 300 & echo $! > {tmp_path}/pid\necho 3.11.7\n")
    program.chmod(0o755)
    assert doctor._bare_version(program) == "3.11.7"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_file_that_cannot_be_executed_has_no_version(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("not a program")
    assert doctor._bare_version(tmp_path / "python") is None


def test_the_version_of_this_interpreter_is_found() -> None:
    assert doctor._bare_version(Path(sys.executable)) == sys.version.split()[0]


def test_an_interpreter_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    for absent in (tmp_path / "python", tmp_path, tmp_path / (300 * "a")):
        with pytest.raises(UsageError, match="no such interpreter"):
            doctor.examine(absent, tmp_path, as_json=False, quiet=True)


def test_a_reply_of_another_form_is_reported_and_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the interpreter says of itself is its own word: a patched torch may say anything.
    class Answering:
        def __init__(self, **_: object) -> None: ...
        def __enter__(self) -> "Answering":
            return self

        def __exit__(self, *_: object) -> None: ...
        def call(self, procedure: str) -> dict[str, object]:
            return {"python": 3, "torch": None}

    monkeypatch.setattr(doctor, "Probe", Answering)
    assert isinstance(doctor._environment(Path(sys.executable)), str)


def test_a_reply_is_a_problem_that_names_what_is_wrong_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.Probe, "call", lambda probe, procedure: {"python": 3})
    problem = doctor._environment(Path(sys.executable))
    assert problem == "what it says of itself has another form: python: Input should be a valid string"


def test_the_last_words_of_an_interpreter_that_does_not_start_are_told(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no licence >&2\nexit 1\n")
    program.chmod(0o755)
    assert doctor._environment(program) == "interpreter python did not start; last output:\nno licence"


def test_only_python_and_torch_gate() -> None:
    assert {check.id for check in doctor.CHECKS if check.severity is not Severity.MINOR} == {
        "doctor.python",
        "doctor.torch",
    }
