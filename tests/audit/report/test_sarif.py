import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.report.document import Report
from audit.report.sarif import render_sarif
from audit.report.text import plain
from audit.results import Check, Location, Outcome, Result, Severity

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
ReportOf = Callable[[str], Report]
SCHEMA = Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.json"


@cache
def validator() -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(json.loads(SCHEMA.read_text()))


def run_of(report: Report) -> Mapping[str, Any]:
    log = json.loads(render_sarif(report))
    validator().validate(log)
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


def failed_at(make_result: MakeResult, **place: Any) -> Result:
    return make_result(Outcome.FAILED, location=Location(path="zoo/a.py", **place), fingerprint="a" * 32)


def region_of(make_report: MakeReport, make_result: MakeResult, **place: Any) -> Mapping[str, int] | None:
    run = run_of(make_report([failed_at(make_result, **place)]))
    region: Mapping[str, int] | None = run["results"][0]["locations"][0]["physicalLocation"].get("region")
    return region


def test_failures_are_results_and_what_was_not_judged_is_a_notification(report_of: ReportOf) -> None:
    run = run_of(report_of("zoo/a.py"))
    assert [(each["ruleId"], each["level"], "suppressions" in each) for each in run["results"]] == [
        ("area.second", "warning", False),
        ("area.third", "error", True),
    ]
    (invocation,) = run["invocations"]
    assert [(each["associatedRule"]["id"], each["level"]) for each in invocation["toolExecutionNotifications"]] == [
        ("area.fifth", "warning"),
        ("area.fourth", "error"),
    ]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (True, 1)


def test_a_run_that_came_to_no_conclusion_was_not_successful(make_report: MakeReport, make_result: MakeResult) -> None:
    (invocation,) = run_of(make_report([make_result(Outcome.ERROR)]))["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 3)


def test_each_result_points_at_its_rule(report_of: ReportOf) -> None:
    run = run_of(report_of("zoo/a.py"))
    rules = run["tool"]["driver"]["rules"]
    assert [rules[each["ruleIndex"]]["id"] for each in run["results"]] == [each["ruleId"] for each in run["results"]]


def test_a_rule_of_this_tool_has_its_documentation_and_a_reference(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    check = Check(id="rules.sec001", title="t", proves="p", defect="d", severity=Severity.MINOR)
    result = make_result(Outcome.FAILED, "rules.sec001", severity=Severity.MINOR)
    (rule,) = run_of(make_report([result], checks=(check,)))["tool"]["driver"]["rules"]
    assert "Why it is bad: " in rule["help"]["text"]
    assert rule["helpUri"].startswith("https://")


@pytest.mark.parametrize(
    ("place", "region"),
    [
        ({}, None),
        ({"line": 0}, None),
        ({"line": 3}, {"startLine": 3}),
        ({"line": 3, "column": 0}, {"startLine": 3}),
        (
            {"line": 3, "column": 5, "end_line": 3, "end_column": 9},
            {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 9},
        ),
        ({"line": 3, "column": 5, "end_line": 2, "end_column": 9}, {"startLine": 3, "startColumn": 5}),
        (
            {"line": 3, "column": 5, "end_line": 3, "end_column": 4},
            {"startLine": 3, "startColumn": 5, "endLine": 3},
        ),
        (
            {"line": 3, "column": 5, "end_line": 4, "end_column": 1},
            {"startLine": 3, "startColumn": 5, "endLine": 4, "endColumn": 1},
        ),
    ],
)
def test_a_region_begins_at_1_and_does_not_run_backwards(
    make_report: MakeReport, make_result: MakeResult, place: Mapping[str, int], region: Mapping[str, int] | None
) -> None:
    assert region_of(make_report, make_result, **place) == region


def test_columns_count_characters_and_the_log_says_so(make_report: MakeReport, make_result: MakeResult) -> None:
    assert run_of(make_report([failed_at(make_result, line=1)]))["columnKind"] == "unicodeCodePoints"


def test_the_same_finding_twice_has_two_fingerprints_that_no_line_number_is_in(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    def prints(*lines: int) -> list[str]:
        run = run_of(make_report([failed_at(make_result, line=line) for line in lines]))
        return [each["partialFingerprints"]["primaryLocationLineHash"] for each in run["results"]]

    assert prints(3, 9) == ["a" * 32 + ":1", "a" * 32 + ":2"]
    assert prints(3, 9) == prints(40, 77)


def test_paths_are_those_of_the_repository(make_report: MakeReport, make_result: MakeResult) -> None:
    report = make_report([failed_at(make_result, line=1)])
    moved = report.model_copy(update={"provenance": report.provenance.model_copy(update={"prefix": "sub dir"})})
    location = run_of(moved)["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "sub%20dir/zoo/a.py"


@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_no_text_of_the_target_makes_the_log_invalid_or_its_paths_something_else(
    data: st.DataObject, hostile_text: st.SearchStrategy[str], report_of: ReportOf
) -> None:
    report = report_of(data.draw(hostile_text))
    run = run_of(report)
    for result in run["results"]:
        message = result["message"]["text"]
        assert message.replace("\\[", "").count("](") == 0 or "[" not in message.replace("\\[", "").split("](")[0]
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        parts = urlsplit(uri)
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
        (place,) = {each.location.path for each in report.results if each.location and each.check == result["ruleId"]}
        assert unquote(uri) in (plain(place), f"./{plain(place)}")
