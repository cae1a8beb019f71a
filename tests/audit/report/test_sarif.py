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


# The part of SARIF 2.1.0 (OASIS Standard, 27 March 2020, section 3) that a log of ours uses, as a JSON Schema. What it
# does not name is refused. It asks for more than the standard's own schema, which every log has to satisfy too.
Schema = dict[str, Any]
LEVELS = ["none", "note", "warning", "error"]


def one(*required: str, **properties: Schema) -> Schema:
    """Return the schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def many(item: Schema, *, least: int = 0, unique: bool = False) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": item, "minItems": least, "uniqueItems": unique}


TEXT: Schema = {"type": "string"}
URI: Schema = {"type": "string", "format": "uri-reference"}
LEVEL: Schema = {"enum": LEVELS}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
INDEX: Schema = {"type": "integer", "minimum": -1}
BAG: Schema = {"type": "object"}  # a property bag holds anything
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$"}

MESSAGE = one("text", text={"type": "string", "minLength": 1})
REGION = one("startLine", startLine=POSITIVE, startColumn=POSITIVE, endLine=POSITIVE, endColumn=POSITIVE)
LOCATION = one(
    physicalLocation=one(artifactLocation=one(uri=URI), region=REGION),
    logicalLocations=many(one(fullyQualifiedName=TEXT), unique=True),
)
RULE = one(
    "id",
    id=TEXT,
    shortDescription=MESSAGE,
    fullDescription=MESSAGE,
    help=MESSAGE,
    helpUri={"type": "string", "format": "uri", "pattern": "^https://"},
    defaultConfiguration=one(level=LEVEL),
    properties=BAG,
)
NOTIFICATION = one(
    "message",
    descriptor=one(id=TEXT),
    associatedRule=one(id=TEXT, index=INDEX),
    level=LEVEL,
    message=MESSAGE,
    locations=many(LOCATION, unique=True),
)
INVOCATION = one(
    "executionSuccessful",
    executionSuccessful={"type": "boolean"},
    exitCode={"type": "integer"},
    commandLine=TEXT,
    startTimeUtc=TIME,
    endTimeUtc=TIME,
    toolExecutionNotifications=many(NOTIFICATION),
)
SUPPRESSION = one(
    "kind",
    kind={"enum": ["inSource", "external"]},
    status={"enum": ["accepted", "underReview", "rejected"]},
    justification=TEXT,
)
RESULT = one(
    "message",
    ruleId=TEXT,
    ruleIndex=INDEX,
    kind={"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]},
    level=LEVEL,
    message=MESSAGE,
    locations=many(LOCATION),
    baselineState={"enum": ["new", "unchanged", "updated", "absent"]},
    partialFingerprints={"type": "object", "additionalProperties": TEXT},
    suppressions=many(SUPPRESSION, unique=True),
)
RUN = one(
    "tool",
    tool=one("driver", driver=one("name", name=TEXT, version=TEXT, rules=many(RULE, unique=True))),
    automationDetails=one(id=TEXT),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    invocations=many(INVOCATION),
    results=many(RESULT),
    properties=BAG,
)
LOG: Schema = one("version", "runs", **{"$schema": URI, "version": {"const": "2.1.0"}, "runs": many(RUN)})


STANDARD = Path(__file__).with_name("sarif") / "sarif-2.1.0.json"


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(LOG)


@cache
def standard() -> jsonschema.Draft202012Validator:
    schema = json.loads(STANDARD.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def run_of(report: Report) -> Mapping[str, Any]:
    log = json.loads(render_sarif(report))
    validator().validate(log)
    standard().validate(log)
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


def test_a_failure_that_no_static_check_found_has_a_fingerprint_of_its_check_and_subject(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    def printed(*results: Result) -> list[str]:
        return [each["partialFingerprints"]["astrobioAudit/v1"] for each in run_of(make_report(results))["results"]]

    one = make_result(Outcome.FAILED, name="a", reason="it was off by 0.1")
    moved = make_result(Outcome.FAILED, name="a", reason="it was off by 0.2", location=Location(path="a.py", line=9))
    assert printed(one) == printed(moved)
    others = [one, make_result(Outcome.FAILED, name="b"), make_result(Outcome.FAILED, "area.second", name="a")]
    assert len(set(printed(*others))) == 3
    assert printed(one, one) == [printed(one)[0], printed(one)[0].replace(":1", ":2")]


def test_beside_a_baseline_each_result_is_new_or_unchanged_and_without_one_neither(
    report_of: ReportOf, make_report: MakeReport, make_result: MakeResult
) -> None:
    assert [each["baselineState"] for each in run_of(report_of("zoo/a.py"))["results"]] == ["new", "unchanged"]
    assert "baselineState" not in run_of(make_report([failed_at(make_result, line=1)]))["results"][0]


def test_passes_and_what_does_not_apply_are_nowhere_in_the_log(report_of: ReportOf) -> None:
    run = run_of(report_of("zoo/a.py"))
    told = {each["ruleId"] for each in run["results"]}
    told |= {each["associatedRule"]["id"] for each in run["invocations"][0]["toolExecutionNotifications"]}
    assert told == {"area.second", "area.third", "area.fourth", "area.fifth"}


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


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda run: run.update(findings=[]),
        lambda run: run["results"][0].pop("message"),
        lambda run: run["results"][0].update(level="major"),
        lambda run: run["results"][0]["locations"][0]["physicalLocation"]["region"].update(startLine=0),
    ],
)
def test_both_schemas_refuse_what_the_standard_does(
    make_report: MakeReport, make_result: MakeResult, corrupt: Callable[[Any], object]
) -> None:
    text = render_sarif(make_report([failed_at(make_result, line=3)]))
    for schema in (validator(), standard()):
        log = json.loads(text)
        assert schema.is_valid(log)
        corrupt(log["runs"][0])
        assert not schema.is_valid(log)
