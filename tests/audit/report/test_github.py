import re
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from audit.report.document import Report
from audit.report.github import render_github
from audit.report.text import plain
from audit.results import Location, Outcome, Result, Severity

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
ReportOf = Callable[[str], Report]
COMMAND = re.compile(r"::(?P<level>error|warning|notice) (?P<properties>[^:]*)::(?P<message>.*)")


def unescaped(text: str) -> str:
    """Return a property or message as the runner decodes it."""
    for code, sign in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, sign)
    return text


def commands(report: Report) -> list[tuple[str, dict[str, str], str]]:
    """Return the commands that a runner, which splits at every line end, would carry out."""
    *lines, last = re.split(r"\r\n|\r|\n", render_github(report).removesuffix("\n"))
    assert re.fullmatch(r"astrobio-audit: \d+ failures?( \(\d+ set apart\))? in \d+ checks?(, verdict [a-z ]+)?", last)
    found = []
    for line in lines:
        match = COMMAND.fullmatch(line)
        assert match, line
        pairs = [pair.split("=", 1) for pair in match["properties"].split(",")]
        properties = {name: unescaped(value) for name, value in pairs}
        found.append((match["level"], properties, unescaped(match["message"])))
    return found


def test_each_failure_error_and_skip_is_an_annotation_and_what_is_set_apart_is_a_count(report_of: ReportOf) -> None:
    found = commands(report_of("zoo/a.py"))
    assert [(level, properties["title"]) for level, properties, _ in found] == [
        ("warning", "area.second"),
        ("error", "area.fourth (error)"),
        ("warning", "area.fifth (skipped)"),
        ("notice", "astrobio-audit"),
    ]
    assert found[0][1] == {"file": "zoo/a.py", "line": "3", "col": "2", "endColumn": "9", "title": "area.second"}
    assert found[3][2] == "1 failure is in zoo/a.py, and does not count here"


def test_the_most_severe_failures_come_first(make_report: MakeReport, make_result: MakeResult) -> None:
    results = [
        make_result(Outcome.SKIPPED, "area.a"),
        make_result(Outcome.ERROR, "area.b"),
        make_result(Outcome.FAILED, "area.c", severity=Severity.MINOR),
        make_result(Outcome.FAILED, "area.d", severity=Severity.CRITICAL),
    ]
    titles = [properties["title"] for level, properties, _ in commands(make_report(results)) if level != "notice"]
    assert [title.split()[0] for title in titles] == ["area.d", "area.c", "area.b", "area.a"]


def test_a_critical_failure_is_an_error_and_columns_are_left_out_of_several_lines(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    place = Location(path="a.py", line=3, column=2, end_line=5, end_column=9)
    report = make_report([make_result(Outcome.FAILED, severity=Severity.CRITICAL, location=place)])
    ((level, properties, message),) = commands(report)
    assert (level, message) == ("error", "it was failed")
    assert properties == {"file": "a.py", "line": "3", "endLine": "5", "title": "area.first on subject"}


def test_a_partial_run_says_so(make_report: MakeReport, make_result: MakeResult) -> None:
    report = make_report([make_result()], partial_reason="limited to a.py")
    assert commands(report) == [("notice", {"title": "astrobio-audit"}, "partial run, no verdict: limited to a.py")]


def test_percent_signs_colons_and_commas_survive(report_of: ReportOf) -> None:
    text = "100 %: a,b %0A"
    (_, properties, message), *_ = commands(report_of(text))
    assert properties["file"] == text
    assert message == f"{text}\nfix: {text}"


@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_no_text_of_the_target_makes_another_command_or_property(
    data: st.DataObject, hostile_text: st.SearchStrategy[str], report_of: ReportOf
) -> None:
    expected = {"file", "line", "col", "endColumn", "title"}
    found = commands(report_of(data.draw(hostile_text)))
    assert len(found) == 4
    for _, properties, message in found[:3]:
        assert set(properties) == expected
        assert plain(message) == message
