from collections.abc import Callable
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from audit.report.document import Report
from audit.report.junit import render_junit
from audit.results import Outcome, Result

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
ReportOf = Callable[[str], Report]
COUNTS = {"tests": "6", "failures": "1", "errors": "1", "skipped": "3"}


def parsed(report: Report) -> ElementTree.Element:
    return ElementTree.fromstring(render_junit(report).encode())


def endings(root: ElementTree.Element) -> dict[str, list[str]]:
    return {case.get("classname", ""): [child.tag for child in case] for case in root.iter("testcase")}


def test_each_result_is_a_case_and_only_a_pass_is_without_an_ending(report_of: ReportOf) -> None:
    root = parsed(report_of("zoo/a.py"))
    assert endings(root) == {
        "area.first": [],
        "area.second": ["failure"],
        "area.third": ["skipped"],
        "area.fourth": ["error"],
        "area.fifth": ["skipped"],
        "area.sixth": ["skipped"],
    }
    (suite,) = root
    for element in (root, suite):
        assert {name: element.get(name) for name in COUNTS} == COUNTS


def test_a_failure_tells_its_place_and_how_to_mend_it(report_of: ReportOf) -> None:
    root = parsed(report_of("zoo/a.py"))
    case = next(case for case in root.iter("testcase") if case.get("classname") == "area.second")
    assert (case.get("file"), case.get("line"), case.get("name")) == ("zoo/a.py", "3", "zoo/a.py:3")
    (failure,) = case
    assert (failure.get("type"), failure.get("message"), failure.text) == (
        "minor",
        "zoo/a.py",
        "zoo/a.py\nfix: zoo/a.py",
    )


def test_there_is_a_suite_for_each_area_and_a_partial_run_says_so(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    results = [make_result(check="static.parses"), make_result(Outcome.FAILED, "rules.sec001")]
    root = parsed(make_report(results, partial_reason="limited to a.py"))
    assert [suite.get("name") for suite in root] == ["rules", "static"]
    assert "partial run, no verdict: limited to a.py" in (root.get("name") or "")


@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_no_text_of_the_target_breaks_the_document_or_adds_a_case(
    data: st.DataObject, hostile_text: st.SearchStrategy[str], report_of: ReportOf
) -> None:
    root = parsed(report_of(data.draw(hostile_text)))
    assert len(endings(root)) == 6
    assert {element.tag for element in root.iter()} == {
        "testsuites", "testsuite", "testcase", "failure", "error", "skipped",
    }  # fmt: skip
