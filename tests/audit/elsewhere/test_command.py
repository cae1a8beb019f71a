import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from audit.attention.cli import AttentionOptions
from audit.elsewhere.command import Done, refuse_without_document, report_from, run_elsewhere, words_of
from audit.errors import UsageError
from audit.options import ElsewhereOptions
from audit.report.document import Report
from audit.target import Target
from validation.benchmark.command import BenchOptions

ROOT = Path(__file__).parents[3]
MakeReport = Callable[..., Report]
MakeResult = Callable[..., object]


@pytest.fixture
def second_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another interpreter, which finds the toolkit and what it needs as an installed one would."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "second")], check=True)
    (packages,) = (tmp_path / "second").glob("lib/python*/site-packages")
    own = [entry for entry in sys.path if entry.endswith("site-packages")]
    (packages / "toolkit.pth").write_text("\n".join([str(ROOT), *own]) + "\n")
    return tmp_path / "second" / "bin" / "python"


def test_options_become_the_words_that_set_them() -> None:
    options = AttentionOptions(
        names=["zoo/model.py::Attention"],
        target=Path("somewhere"),
        only=["attention.mask", "attention.scale"],
        workers=2,
        cache=False,
        fail_fast=True,
        output=Path("out"),
        gateway="popen",
    )
    assert words_of(options, "attention") == [
        "attention",
        "--json",
        "--only=attention.mask",
        "--only=attention.scale",
        "--workers=2",
        "--no-cache",
        "--fail-fast",
        "--",
        "zoo/model.py::Attention",
    ]
    assert words_of(ElsewhereOptions(), "smoke") == ["smoke", "--json"]
    assert words_of(BenchOptions(causal=False, length=[64], models=False), "bench") == [
        "bench",
        "--json",
        "--no-models",
        "--length=64",
        "--full",
    ]


def test_a_command_runs_in_another_interpreter_and_its_report_is_read_here(
    make_target: Callable[..., Target], second_python: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = make_target()
    gateway = f"popen//python={second_python}//chdir={target.root}"
    done = run_elsewhere(gateway, ["static", "--json"], folder=target.root, quiet=False)
    report = Report.model_validate_json(done.printed)
    assert done.status == report.exit_code
    assert report.provenance.package == "zoo"
    assert f"/{len({result.check for result in report.results})}: zoo: static." in capsys.readouterr().err


def test_what_the_command_refuses_there_is_said_here(
    make_target: Callable[..., Target], second_python: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_target().root
    options = ElsewhereOptions(target=root, only=["nonsense"], gateway=f"popen//python={second_python}")
    with pytest.raises(UsageError, match=r"--gateway popen//python=.*: --only nonsense: no such check"):
        report_from(options, "smoke", root)
    assert capsys.readouterr().err == ""


def test_a_package_of_the_target_does_not_stand_in_for_the_toolkit(
    make_target: Callable[..., Target], second_python: Path
) -> None:
    root = make_target().root
    for name in ("audit", "validation", "execnet", "typer"):
        (root / name).mkdir()
        (root / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    done = run_elsewhere(f"popen//python={second_python}", ["static", "--json"], folder=root, quiet=True)
    assert Report.model_validate_json(done.printed).command == "static"


LIARS = {
    "what is no JSON": ("nonsense", "what came back is not a valid report"),
    "a report whose verdict is another than its results": ("verdict", "does not follow from the results"),
    "a report of another command": ("command", "sent the report of another command"),
    "a report on a part": ("part", "is partial"),
}


@pytest.mark.parametrize(("lie", "told"), LIARS.values(), ids=LIARS.keys())
def test_what_is_no_honest_report_is_refused(
    lie: str, told: str, make_report: MakeReport, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads(make_report([make_result()], release=False, command="smoke").model_dump_json())
    lies = {
        "verdict": {"verdict": "ready"},
        "command": {"command": "train"},
        "part": {"part": {"plan": "sha256:0", "label": "x", "groups": ["y"]}},
    }
    printed = (json.dumps(content | lies[lie]) if lie in lies else "nonsense").encode()

    def run(*arguments: object, **options: object) -> Done:
        return Done(status=0, printed=printed, last_line="")

    monkeypatch.setattr("audit.elsewhere.command.run_elsewhere", run)
    with pytest.raises(UsageError, match=told):
        report_from(ElsewhereOptions(gateway="popen"), "smoke", Path("."))


def test_a_command_that_ends_without_a_document_is_incomplete(capsys: pytest.CaptureFixture[str]) -> None:
    ended = Done(status=-9, printed=b"", last_line="")
    with pytest.raises(typer.Exit) as left:
        refuse_without_document("popen", ended)
    assert left.value.exit_code == 3
    assert "no document came back: ended with status -9" in capsys.readouterr().err
    refuse_without_document("popen", replace(ended, printed=b"{}"))
