import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from audit.report.document import Baseline, Report
from audit.results import Check, Outcome, Result, Severity
from audit.score import Verdict

MakeResult = Callable[..., Result]
MakeReport = Callable[..., Report]
MakeCheck = Callable[..., Check]
Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def results(make_result: MakeResult) -> list[Result]:
    return [
        make_result(Outcome.PASSED, "static.parses", name="zoo"),
        make_result(Outcome.PASSED, "smoke.forward", name="a"),
        make_result(Outcome.FAILED, "smoke.forward", name="b"),
        make_result(Outcome.SKIPPED, "smoke.backward", name="b"),
        make_result(Outcome.NOT_APPLICABLE, "attention.declared"),
    ]


@pytest.fixture
def document(make_report: MakeReport, results: list[Result]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(make_report(results).model_dump_json())
    return read


def at(document: dict[str, Any], outcome: str) -> dict[str, Any]:
    found: dict[str, Any] = next(result for result in document["results"] if result["outcome"] == outcome)
    return found


def test_a_report_reads_back_as_it_was_written(make_report: MakeReport, results: list[Result]) -> None:
    report = make_report(results)
    text = report.model_dump_json()
    assert Report.model_validate_json(text) == report
    assert Report.model_validate_json(text).model_dump_json() == text


def test_the_summary_is_that_of_the_results(document: dict[str, Any]) -> None:
    assert (document["verdict"], document["score"], document["coverage"]) == ("not ready", 0.25, 0.5)
    assert [area["name"] for area in document["areas"]] == ["attention", "smoke", "static"]


EDITS: dict[str, Edit] = {
    "verdict": lambda d: d.update(verdict="ready"),
    "verdict of a part": lambda d: d.update(verdict=None),
    "made partial": lambda d: d.update(verdict=None, partial=True),
    "made interrupted": lambda d: d.update(interrupted=True),
    "no longer a release": lambda d: d.update(release=False),
    "score": lambda d: d.update(score=1.0),
    "score by a hair": lambda d: d.update(score=d["score"] + 1e-6),
    "score left out": lambda d: d.update(score=None),
    "score as NaN": lambda d: d.update(score="NaN"),
    "coverage": lambda d: d.update(coverage=1.0),
    "a count": lambda d: d["areas"][1].update(passed=2),
    "a count of nothing": lambda d: d["areas"][1].update(error=1),
    "score of an area": lambda d: d["areas"][1].update(score=1.0),
    "an area removed": lambda d: d["areas"].pop(1),
    "an area renamed": lambda d: d["areas"][1].update(name="smog"),
    "an area added": lambda d: d["areas"].append({**d["areas"][0], "name": "zz"}),
    "areas swapped": lambda d: d["areas"].reverse(),
    "all areas removed": lambda d: d.update(areas=[]),
    "a failure removed": lambda d: d["results"].remove(at(d, "failed")),
    "a skip removed": lambda d: d["results"].remove(at(d, "skipped")),
    "what does not apply removed": lambda d: d["results"].remove(at(d, "not_applicable")),
    "all results removed": lambda d: d.update(results=[]),
    "a pass twice": lambda d: d["results"].append(at(d, "passed")),
    "a failure passed": lambda d: at(d, "failed").update(outcome="passed"),
    "a skip does not apply": lambda d: at(d, "skipped").update(outcome="not_applicable"),
    "a skip failed": lambda d: at(d, "skipped").update(outcome="failed"),
    "a reason removed": lambda d: at(d, "failed").update(reason=None),
    "a reason emptied": lambda d: at(d, "skipped").update(reason=" "),
    "a measurement removed": lambda d: at(d, "passed")["evidence"].update(measured=None),
    "a bound removed": lambda d: at(d, "passed")["evidence"].update(bound=None),
    "an origin removed": lambda d: at(d, "passed")["evidence"].update(bound_origin=None),
    "a bound moved": lambda d: at(d, "passed")["evidence"].update(bound=2),
    "a comparison turned": lambda d: at(d, "failed")["evidence"].update(comparison="<="),
    "a result moved to another check": lambda d: at(d, "failed").update(check="smoke.backward"),
    "a result of an unknown check": lambda d: at(d, "failed").update(check="smoke.other"),
    "a check removed": lambda d: d["checks"].pop(0),
    "all checks removed": lambda d: d.update(checks=[]),
    "an unknown key": lambda d: d.update(approved_by="nobody"),
    "an unknown key in a result": lambda d: at(d, "failed").update(waived=True),
    "an unknown key in an area": lambda d: d["areas"][0].update(note="fine"),
    "an unknown key in the provenance": lambda d: d["provenance"].update(signed=True),
    "an unknown outcome": lambda d: at(d, "failed").update(outcome="waived"),
    "another version of the schema": lambda d: d.update(schema_version="2.0"),
    "another tool": lambda d: d["tool"].update(name="other-audit"),
    "the provenance removed": lambda d: d.pop("provenance"),
    "the results as a text": lambda d: d.update(results="none"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edited_report_is_refused(document: dict[str, Any], edit: Edit) -> None:
    edited = copy.deepcopy(document)
    edit(edited)
    assert edited != document
    with pytest.raises(ValidationError):
        Report.model_validate_json(json.dumps(edited))


def test_a_failure_is_not_made_harmless_by_its_severity(make_report: MakeReport, make_result: MakeResult) -> None:
    # The check says how severe its failure is; a result that says less would turn `not ready` into `ready`.
    results = [make_result(Outcome.PASSED, "smoke.build"), make_result(Outcome.FAILED, "smoke.forward")]
    document = json.loads(make_report(results).model_dump_json())
    at(document, "failed")["severity"] = "minor"
    document["verdict"] = "ready"
    with pytest.raises(ValidationError):
        Report.model_validate_json(json.dumps(document))


def test_a_listed_check_without_any_result_is_refused(
    make_report: MakeReport, make_result: MakeResult, make_check: MakeCheck
) -> None:
    # The report starts from the checks that should exist: one that left no trace was not carried out.
    checks = (make_check("smoke.build"), make_check("smoke.forward"))
    with pytest.raises(ValidationError):
        make_report([make_result(Outcome.PASSED, "smoke.build")], checks=checks)


def test_a_report_of_checks_and_no_results_is_not_ready(make_report: MakeReport) -> None:
    report = make_report([], checks=())
    assert (report.verdict, report.score, report.coverage) == (Verdict.INCOMPLETE, None, None)
    assert report.exit_code == 3


@pytest.mark.parametrize(
    ("outcome", "release", "verdict", "code"),
    [
        (Outcome.PASSED, True, "ready", 0),
        (Outcome.PASSED, False, "clean", 0),
        (Outcome.FAILED, True, "not ready", 1),
        (Outcome.FAILED, False, "findings", 1),
        (Outcome.ERROR, True, "incomplete", 3),
        (Outcome.ERROR, False, "incomplete", 3),
        (Outcome.SKIPPED, True, "incomplete", 3),
        (Outcome.SKIPPED, False, "incomplete", 3),
        (Outcome.NOT_APPLICABLE, True, "incomplete", 3),
    ],
)
def test_each_verdict_has_its_exit_code(
    make_report: MakeReport, make_result: MakeResult, outcome: Outcome, release: bool, verdict: str, code: int
) -> None:
    report = make_report([make_result(outcome)], release=release)
    assert (report.verdict, report.exit_code) == (verdict, code)


@pytest.mark.parametrize(
    ("outcome", "release", "interrupted", "code"),
    [
        (Outcome.PASSED, True, False, 3),
        (Outcome.PASSED, True, True, 3),
        (Outcome.PASSED, False, False, 0),
        (Outcome.PASSED, False, True, 3),
        (Outcome.FAILED, True, False, 1),
        (Outcome.FAILED, False, True, 3),
        (Outcome.ERROR, False, False, 3),
    ],
)
def test_a_partial_report_gives_no_verdict_and_never_says_ready(
    make_report: MakeReport, make_result: MakeResult, outcome: Outcome, release: bool, interrupted: bool, code: int
) -> None:
    report = make_report(
        [make_result(outcome)], release=release, partial_reason="limited to --only area", interrupted=interrupted
    )
    assert (report.verdict, report.partial, report.exit_code) == (None, True, code)


def test_a_partial_report_says_why(document: dict[str, Any]) -> None:
    document |= {"partial": True, "verdict": None, "partial_reason": ""}
    with pytest.raises(ValidationError, match="says why it is partial"):
        Report.model_validate_json(json.dumps(document))


OUTCOMES = st.lists(
    st.tuples(
        st.sampled_from(Outcome),
        st.sampled_from(["one.first", "one.second", "two.first"]),
        st.sampled_from(["a", "b", "c"]),
    ),
    min_size=1,
    max_size=8,
)


@given(drawn=OUTCOMES, data=st.data())
@settings(deadline=None)
def test_the_order_in_which_results_arrive_does_not_show(
    make_report: MakeReport, make_result: MakeResult, drawn: list[tuple[Outcome, str, str]], data: st.DataObject
) -> None:
    found = [make_result(outcome, check, name=name) for outcome, check, name in drawn]
    shuffled = data.draw(st.permutations(found))
    assert make_report(found).model_dump_json() == make_report(shuffled).model_dump_json()


@given(drawn=OUTCOMES, index=st.integers(0, 7), outcome=st.sampled_from(Outcome))
@settings(deadline=None)
def test_no_single_outcome_can_be_changed_after_the_fact(
    make_report: MakeReport,
    make_result: MakeResult,
    drawn: list[tuple[Outcome, str, str]],
    index: int,
    outcome: Outcome,
) -> None:
    report = make_report([make_result(each, check, name=name) for each, check, name in drawn])
    document = json.loads(report.model_dump_json())
    result = document["results"][index % len(document["results"])]
    if result["outcome"] == outcome.value:
        assert Report.model_validate(document) == report
        return
    result["outcome"], result["reason"] = outcome.value, "edited"
    with pytest.raises(ValidationError):
        Report.model_validate(document)


def test_minor_results_stay_minor_in_the_list_of_checks(make_report: MakeReport, make_result: MakeResult) -> None:
    report = make_report([make_result(Outcome.FAILED, severity=Severity.MINOR), make_result(check="area.second")])
    assert [check.severity for check in report.checks] == [Severity.MINOR, Severity.CRITICAL]
    assert report.verdict is Verdict.READY


def test_minor_findings_count_for_the_exit_code_of_static_and_of_no_other_area(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    results = [make_result(Outcome.FAILED, severity=Severity.MINOR), make_result(check="area.second")]
    codes = {command: make_report(results, command=command, release=False).exit_code for command in ("static", "smoke")}
    assert codes == {"static": 1, "smoke": 0}


def test_results_set_apart_without_a_baseline_that_says_so_are_refused(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    results = [make_result(Outcome.FAILED, set_apart="in the baseline b"), make_result(check="area.second")]
    known = Baseline(source="the baseline b", set_apart=1)
    report = make_report(results, command="static", release=False, baselines=(known,))
    assert (report.verdict, report.exit_code) == (Verdict.CLEAN, 0)
    document = report.model_dump(mode="json") | {"baselines": []}
    with pytest.raises(ValidationError, match="another number of results than are marked"):
        Report.model_validate(document)


def test_only_a_failure_is_set_apart(make_result: MakeResult) -> None:
    for outcome in set(Outcome) - {Outcome.FAILED}:
        with pytest.raises(ValidationError, match="only a failure is set apart"):
            make_result(outcome, set_apart="in the baseline b")
