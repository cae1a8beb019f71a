"""What stands beside the verdict, in every format."""

import json
from collections.abc import Callable
from datetime import date
from io import StringIO
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError
from rich.console import Console

from audit.gates import Gates
from audit.report.badge import render_badge
from audit.report.document import Report
from audit.report.github import render_github
from audit.report.html.report import render_html
from audit.report.junit import render_junit
from audit.report.markdown import render_markdown
from audit.report.sarif import render_sarif
from audit.report.summary import render_summary
from audit.report.terminal import print_report
from audit.report.verdicts import in_the_way, verdict_lines, verdict_text
from audit.report.write import report_json
from audit.results import Outcome, Result, Severity
from audit.score import Verdict
from audit.waivers import Day, Waiver, waive

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
WithWaivers = Callable[..., Report]
TODAY = date(2026, 11, 26)


@pytest.fixture
def with_waivers(make_report: MakeReport, make_result: MakeResult) -> WithWaivers:
    """Makes a report of one pass and one major failure, with a waiver of that, to be changed by keywords."""

    def make(*, day: Day | None = None, gates: Gates | None = None, release: bool = True, **changes: object) -> Report:
        given = {
            "check": "area.second",
            "subject": "bad",
            "owner": "Ada",
            "reason": "mended in 2.0",
            "expires": date(2027, 1, 31),
        }
        waiver = Waiver(**given | changes)  # type: ignore[arg-type]
        failure = make_result(Outcome.FAILED, "area.second", severity=Severity.MAJOR, name="bad")
        judged_by = day or Day(day=TODAY, origin="clock")
        results, rows = waive([make_result(), failure], [waiver], judged_by)
        return make_report(results, waivers=rows, waivers_by=judged_by, gates=gates, release=release)

    return make


def terminal(report: Report) -> str:
    stream = StringIO()
    print_report(report, Console(file=stream, width=200))
    return stream.getvalue()


RENDERERS = {
    "json": report_json,
    "markdown": lambda report: render_markdown(report).replace("\\", ""),
    "terminal": terminal,
    "github": render_github,
    "sarif": render_sarif,
    "junit": render_junit,
    "html": render_html,
    "summary": lambda report: render_summary(report).replace("\\", ""),
    "badge": render_badge,
}


def test_a_release_that_rests_on_a_waiver_says_so_and_leaves_with_0(with_waivers: WithWaivers) -> None:
    report = with_waivers()
    assert (report.verdict, verdict_text(report), report.exit_code) == (
        Verdict.READY_WITH_WAIVERS,
        "ready with 1 waiver",
        0,
    )
    assert report.score == 0.5  # it earns no credit
    assert [result.outcome for result in report.results] == [Outcome.PASSED, Outcome.FAILED]


def test_an_expired_waiver_waives_nothing(with_waivers: WithWaivers) -> None:
    report = with_waivers(expires=date(2026, 11, 25))
    assert (report.verdict, report.exit_code) == (Verdict.NOT_READY, 1)
    (line,) = verdict_lines(report)
    assert line.startswith("expired waiver of area.second on bad: nothing waived, by Ada until 2026-11-25")


def test_an_area_leaves_with_0_where_all_its_failures_are_waived(with_waivers: WithWaivers) -> None:
    report = with_waivers(release=False)
    assert (report.verdict, report.exit_code) == (Verdict.CLEAN, 0)
    assert verdict_lines(report) == [
        "waiver of area.second on bad: 1 failure waived, by Ada until 2027-01-31: mended in 2.0"
    ]


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_lists_the_waivers(with_waivers: WithWaivers, name: str) -> None:
    text = RENDERERS[name](with_waivers())
    assert "ready with" in text
    for word in ("Ada", "2027-01-31", "mended in 2.0"):
        assert word in text


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_names_the_gates_that_were_missed(with_waivers: WithWaivers, name: str) -> None:
    text = RENDERERS[name](with_waivers(gates=Gates(min_score=0.75)))
    assert "not ready" in text
    assert "min_score" in text
    assert "score 0.5, and the release needs 0.75" in text


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_says_that_the_clock_is_not_believed(with_waivers: WithWaivers, name: str) -> None:
    text = RENDERERS[name](with_waivers(day=Day(day=date(2027, 2, 1), origin="commit")))
    assert "2027-02-01" in text
    assert "commit" in text


def test_a_waived_failure_is_a_suppressed_result_and_a_skipped_case(with_waivers: WithWaivers) -> None:
    report = with_waivers()
    (found,) = json.loads(render_sarif(report))["runs"][0]["results"]
    assert (found["kind"], [each["status"] for each in found["suppressions"]]) == ("fail", ["accepted"])
    suites = ElementTree.fromstring(render_junit(report))
    assert (suites.get("failures"), suites.get("skipped")) == ("0", "1")
    (case,) = suites.findall("*/testcase[@classname='area.second']")
    assert [child.tag for child in case] == ["skipped"]
    assert "::warning title=area.second on bad::waived by Ada" in render_github(report)


EDITS: dict[str, Callable[[dict[str, object]], object]] = {
    "no waivers": lambda d: d.update(waivers=[], waivers_by=None),
    "a later day": lambda d: d.update(waivers_by={"day": "2028-01-01", "origin": "clock"}),
    "no day": lambda d: d.update(waivers_by=None),
    "a waiver of more": lambda d: d["waivers"][0].update(waives=2),  # type: ignore[index]
    "a waiver of something else": lambda d: d["waivers"][0].update(subject="good"),  # type: ignore[index]
    "the mark taken off": lambda d: [each.update(waived=None) for each in d["results"]],  # type: ignore[attr-defined]
    "the verdict without them": lambda d: d.update(verdict="ready"),
    "a gate forgotten": lambda d: d.update(gates={"min_score": 1}),
    "a gate invented": lambda d: d.update(
        missed_gates=[{"gate": "min_score", "verdict": "not ready", "says": "x"}], verdict="not ready"
    ),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edited_report_does_not_validate(
    with_waivers: WithWaivers, edit: Callable[[dict[str, object]], object]
) -> None:
    document = json.loads(report_json(with_waivers()))
    assert Report.model_validate(document)
    edit(document)
    with pytest.raises(ValidationError):
        Report.model_validate(document)


def test_hostile_words_of_a_waiver_stay_text(with_waivers: WithWaivers, hostile: str) -> None:
    if not hostile.strip() or not hostile.isascii():
        hostile = f"x{hostile}".encode("utf-8", "replace").decode()
    report = with_waivers(owner=hostile, reason=hostile)
    ElementTree.fromstring(render_junit(report))
    json.loads(render_sarif(report))
    shown = terminal(report)
    assert "\x1b" not in shown
    lines = render_github(report).splitlines()
    assert all(line.startswith(("::", "astrobio-audit: ")) for line in lines)
    assert render_markdown(report).splitlines()[0].startswith("**Verdict: ready with 1 waiver**")


def test_a_release_says_first_which_checks_are_in_its_way(make_report: MakeReport, make_result: MakeResult) -> None:
    def told(report: Report) -> list[str]:
        return [*in_the_way(report)]

    passed = make_result(check="area.good")
    minor = make_result(Outcome.FAILED, "area.minor", severity=Severity.MINOR)
    skipped = [make_result(Outcome.SKIPPED, "area.waits", name=name) for name in "ab"]
    incomplete = make_report([passed, minor, *skipped], release=True)
    assert incomplete.verdict is Verdict.INCOMPLETE
    assert told(incomplete) == ["incomplete because of area.waits (2 subjects)"]
    major = make_result(Outcome.FAILED, "area.major", severity=Severity.MAJOR)
    failing = make_report([passed, minor, major, make_result(Outcome.FAILED, "area.worst"), *skipped], release=True)
    assert told(failing) == ["not ready because of area.worst (1 subject), area.major (1 subject)"]
    assert "area.worst (1 subject)" in render_summary(failing)
    assert "area.worst (1 subject)" in render_html(failing)
    many = [make_result(Outcome.FAILED, f"area.check_{number}") for number in range(9)]
    (line,) = told(make_report(many, release=True))
    assert line.endswith("area.check_5 (1 subject), and 3 more")
    assert told(make_report([passed], release=True)) == []
    assert told(make_report(many, release=False)) == []


def test_what_was_measured_of_a_stand_in_says_so_in_every_format(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    plain = make_result()
    through = plain.model_copy(update={"evidence": plain.evidence.model_copy(update={"stand_in": "flash_attn.cute"})})
    report = make_report([through, make_result(name="other")], release=True)
    assert report.verdict is Verdict.READY
    (line,) = verdict_lines(report)
    assert line == "1 result on 1 subject rest on exact stand-ins, and the libraries did not run: flash_attn.cute"
    for shown in (terminal(report), render_summary(report), render_markdown(report), render_html(report)):
        assert "flash_attn.cute" in shown.replace("\\", "")
    assert "`subject` (stand-in for `flash_attn.cute`)" in render_markdown(report)
    evidence = [each["evidence"]["stand_in"] for each in json.loads(report_json(report))["results"]]
    assert sorted(evidence, key=str) == [None, "flash_attn.cute"]
