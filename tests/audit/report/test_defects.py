"""Defects on a terminal, in Markdown and as files."""

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from audit.report.defects import FOLDER
from audit.report.document import Report
from audit.report.files import WriteError
from audit.report.markdown import render_markdown
from audit.report.terminal import print_report
from audit.report.write import write_files
from audit.results import Defect, Explained, Outcome, Result, Subject, SubjectKind

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
PICTURE = {"title": "t", "observed": ((1.0, 1.0),), "expected": ((1.0, 0.0),), "of": "weights"}


@pytest.fixture
def report(make_report: MakeReport, make_result: MakeResult) -> Callable[..., Report]:
    def make(text: str = "zoo", **changes: Any) -> Report:
        of = f"zoo/a.py::{text}::scale_size"
        results = [
            make_result(Outcome.FAILED, check).model_copy(update={"defect": Explained(id=of, how="shows it")})
            for check in ("area.one", "area.two")
        ]
        given: dict[str, Any] = {
            "id": of,
            "bug": "scale_size",
            "title": "Scale taken from the wrong size",
            "subject": Subject(kind=SubjectKind.ATTENTION, spec=text),
            "checks": ("area.one", "area.two"),
            "explanation": text,
            "why": "too flat",
            "fix": "scale by 1/sqrt(head_dim)",
            "related": ("https://github.com/a/b/issues/1",),
            "picture": PICTURE,
            "reproducer": {"file": "a.py", "script": f"X = {text!r}\n", "case": text, "measured": 1.0, "bound": 0.1},
        }
        return make_report(
            results, command="attention", release=False, defects=[Defect.model_validate(given | changes)]
        )

    return make


def printed(report: Report, *, width: int = 100) -> str:
    stream = StringIO()
    print_report(report, Console(file=stream, width=width, no_color=True))
    return stream.getvalue()


def test_a_defect_comes_first_and_its_checks_are_not_listed_again(report: Callable[..., Report]) -> None:
    lines = printed(report()).splitlines()
    assert lines[0].startswith("defect   Scale taken from the wrong size")
    assert not any(line.startswith("failed ") for line in lines)
    assert "1 defect in 1 subject, shown by 2 failed checks" in lines[-1]
    assert any("fails also: area.two" in line for line in lines)
    assert any("|████|" in line and "|██  |" in line for line in lines)
    assert any(f"python {FOLDER}/a.py" in line for line in lines)


def test_a_defect_without_a_script_says_why(report: Callable[..., Report]) -> None:
    assert "no script: too large" in printed(report(reproducer=None, unreproduced="too large"))


@pytest.mark.parametrize(("must_exceed", "said"), [(False, "1, bound 0.1)"), (True, "1, must exceed 0.1)")])
def test_what_is_right_of_a_measurement_is_told(report: Callable[..., Report], must_exceed: bool, said: str) -> None:
    script = {"file": "a.py", "script": "pass", "case": "c", "measured": 1.0, "bound": 0.1, "must_exceed": must_exceed}
    assert said in " ".join(printed(report(reproducer=script)).split())


def test_what_is_hostile_neither_begins_a_line_nor_ends_a_code_block(
    report: Callable[..., Report], hostile: str
) -> None:
    text = printed(report(hostile))
    assert not any(line.startswith(("verdict: ready", "#")) for line in text.splitlines())
    made = render_markdown(report(hostile))
    assert not any(line.startswith(("# Verdict", "**Verdict: ready", "<script")) for line in made.splitlines())
    told = [line for line in made.splitlines() if not line.startswith("    ")]
    assert "<script>" not in re.sub(r"`[^`]*`", "", "\n".join(told))


def test_markdown_has_the_picture_the_script_and_the_thread(report: Callable[..., Report]) -> None:
    made = render_markdown(report())
    assert "## Defects (1)" in made
    assert "    |████|" in made
    assert "    X = 'zoo'" in made
    assert "<https://github.com/a/b/issues/1>" in made


def test_a_thread_from_elsewhere_is_text(report: Callable[..., Report]) -> None:
    assert "<javascript" not in render_markdown(report(related=("javascript:alert(1)",)))


def test_scripts_are_written_beside_the_report(report: Callable[..., Report], tmp_path: Path) -> None:
    write_files(report(), tmp_path)
    assert (tmp_path / FOLDER / "a.py").read_text() == "X = 'zoo'\n"


def test_a_file_in_place_of_the_folder_is_told(report: Callable[..., Report], tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("")
    with pytest.raises(WriteError, match=FOLDER):
        write_files(report(), tmp_path)
    assert (tmp_path / "attention.json").is_file()
