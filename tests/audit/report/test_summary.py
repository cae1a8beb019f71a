import re
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.report.document import Report
from audit.report.files import WriteError
from audit.report.github import add_to_step_summary
from audit.report.summary import render_summary
from audit.results import Defect, Explained, Outcome, Result, Severity, Subject, SubjectKind

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
ReportOf = Callable[[str], Report]
PAGE = 70  # lines that a printed page holds


def test_the_first_line_is_the_verdict_with_score_and_coverage(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    lines = render_summary(make_report([make_result(), make_result(Outcome.FAILED, "area.second")])).splitlines()
    assert lines[0] == "**Verdict: not ready** · score 50 % · coverage 100 %"
    assert lines[2] == "- not ready because of area.second (1 subject)"
    assert lines[4] == "# Readiness of zoo"
    assert lines[6].startswith("2 results of 2 checks: 1 passed, 1 failed. Score: ")
    assert "| area | 50 % | 100 % | 1 | 1 | 0 |" in lines


def test_a_partial_run_says_so_first(make_report: MakeReport, make_result: MakeResult) -> None:
    text = render_summary(make_report([make_result()], partial_reason="limited to --only area"))
    assert text.splitlines()[0] == "**Partial run, no verdict: limited to --only area**"
    assert "Verdict: ready" not in text


def test_checks_that_fail_are_told_once_with_their_number_and_the_worst_first(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    results = [
        *(make_result(Outcome.FAILED, "area.often", severity=Severity.MINOR, name=str(at)) for at in range(5)),
        make_result(Outcome.FAILED, "area.worse", reason="off by 2"),
    ]
    text = render_summary(make_report(results))
    assert "## Failed: 6 results of 2 checks" in text
    rows = re.findall(r"^\| (area\.\w+) \| (\w+) \| (\d+) \| (.*) \|$", text, re.MULTILINE)
    assert [row[:3] for row in rows] == [("area.worse", "critical", "1"), ("area.often", "minor", "5")]
    assert rows[0][3] == "`subject`: off by 2"


def test_what_was_not_judged_is_told_by_reason_with_what_would_be_needed(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    results = [
        make_result(),
        *(make_result(Outcome.SKIPPED, f"gpu.{name}", reason="no CUDA device") for name in ("a", "b")),
        make_result(Outcome.ERROR, "area.second", reason="it raised", fix="give it a batch"),
        make_result(Outcome.NOT_APPLICABLE, "area.third", reason="undeclared: whether rows sum to one"),
        make_result(Outcome.NOT_APPLICABLE, "area.fourth", reason="no window is declared"),
    ]
    text = render_summary(make_report(results))
    assert "- gpu, 2 checks on 1 subject, keeps a release from being ready: no CUDA device" in text
    assert "it raised (needed: give it a batch)" in text
    assert "whether rows sum to one (needed: a declaration of it in the specs)" in text
    assert "no window is declared" not in text


def test_failures_that_were_there_before_are_counted_and_not_listed(report_of: ReportOf) -> None:
    text = render_summary(report_of("zoo/a.py"))
    assert "1 failure is in zoo/a.py, and does not count here" in text
    assert "area.third" not in text


def test_it_is_one_page_however_many_results_there_are(make_report: MakeReport, make_result: MakeResult) -> None:
    reason = "a long reason " * 50
    results = [
        make_result(outcome, f"area{'abcde'[at % 5]}.check{at % 50}", name=f"s{at}", reason=f"{reason} {at}")
        for outcome in (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED)
        for at in range(1000)
    ]
    defects = []
    for at in range(20):
        of = f"zoo/a.py::net{at}::mask"
        results[at] = results[at].model_copy(update={"defect": Explained(id=of, how="shows it")})
        subject = Subject(kind=SubjectKind.ATTENTION, spec=f"net{at}")
        told = {"title": "t" * 1000, "explanation": "e", "why": "w", "fix": "f", "unreproduced": "too large"}
        defects.append(Defect(id=of, bug=None, subject=subject, checks=(results[at].check,), **told))
    text = render_summary(make_report(results, defects=defects))
    assert len(text.splitlines()) <= PAGE
    assert max(map(len, text.splitlines())) < 700
    assert "... and 15 more in the full report." in text
    assert re.search(r"\.\.\. and \d+ more in the full report\.\n\n## Not judged", text)


def test_nothing_is_said_of_parts_that_are_empty(make_report: MakeReport, make_result: MakeResult) -> None:
    text = render_summary(make_report([make_result()]))
    assert "##" not in text


def test_no_text_of_the_target_begins_a_line(report_of: ReportOf, hostile: str) -> None:
    lines = re.split(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", render_summary(report_of(hostile)))
    starts = (
        "**Verdict: ",
        "# Static of ",
        "## Failed: ",
        "## Not judged",
        "- area, ",
        "| ",
        "|---",
        "astrobio-audit ",
    )
    assert [line for line in lines if line and not line.startswith((*starts, "6 results", "1 failure"))] == []
    assert lines[0].startswith("**Verdict: findings** · score ")
    assert "<script" not in re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", "\n".join(lines))


def test_a_step_summary_is_added_to_what_other_steps_wrote(
    tmp_path: Path, make_report: MakeReport, make_result: MakeResult
) -> None:
    report, path = make_report([make_result()]), tmp_path / "summary.md"
    path.write_text("before\n")
    add_to_step_summary(report, path)
    add_to_step_summary(report, path)
    assert path.read_text() == "before\n" + 2 * f"{render_summary(report)}\n"


@pytest.mark.parametrize("name", ["absent/summary.md", ".", "a\0b"])
def test_a_step_summary_that_cannot_be_written_is_one_clear_error(
    tmp_path: Path, make_report: MakeReport, make_result: MakeResult, name: str
) -> None:
    with pytest.raises(WriteError, match=r"GITHUB_STEP_SUMMARY .*could not be written"):
        add_to_step_summary(make_report([make_result()]), tmp_path / name)
