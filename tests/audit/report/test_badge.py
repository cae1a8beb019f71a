import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from audit.report.badge import render_badge
from audit.report.document import Report
from audit.results import Outcome, Result

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
SVG = "{http://www.w3.org/2000/svg}"


def badge(report: Report) -> ElementTree.Element:
    return ElementTree.fromstring(render_badge(report))


@pytest.mark.parametrize(
    ("outcomes", "says"),
    [
        ([Outcome.PASSED], "ready, coverage 100 %"),
        ([Outcome.FAILED, Outcome.PASSED], "not ready, coverage 100 %"),
        ([Outcome.PASSED, Outcome.SKIPPED], "incomplete, coverage 50 %"),
    ],
)
def test_verdict_and_coverage_are_told_together(
    make_report: MakeReport, make_result: MakeResult, outcomes: list[Outcome], says: str
) -> None:
    root = badge(make_report([make_result(each, name=str(at)) for at, each in enumerate(outcomes)]))
    assert [each.text for each in root.findall(f"{SVG}text")] == ["readiness", says]
    assert root.get("aria-label") == f"readiness: {says}"
    assert root.findtext(f"{SVG}title") == f"readiness: {says}"


def test_a_partial_run_never_looks_like_a_verdict(make_report: MakeReport, make_result: MakeResult) -> None:
    ready = render_badge(make_report([make_result()]))
    partial = render_badge(make_report([make_result()], partial_reason="limited"))
    assert "partial run, coverage 100 %" in partial
    green = re.findall("#[0-9a-f]{6}", ready)[1]
    assert green not in partial


def test_a_coverage_that_is_not_all_is_never_rounded_up_to_it(make_report: MakeReport, make_result: MakeResult) -> None:
    results = [make_result(name=str(at)) for at in range(2999)]
    root = render_badge(make_report([*results, make_result(Outcome.ERROR)]))
    assert "coverage 99.9 %" in root


def test_letters_fit_into_their_part(make_report: MakeReport, make_result: MakeResult) -> None:
    root = badge(make_report([make_result(Outcome.ERROR)], command="attention", release=False))
    for box, words in zip(root.findall(f"{SVG}rect"), root.findall(f"{SVG}text"), strict=True):
        left, width = float(box.get("x", "0")), float(box.get("width", ""))
        half = float(words.get("textLength", "")) / 2
        middle = float(words.get("x", ""))
        assert left < middle - half < middle + half < left + width


def test_a_hostile_command_is_text(make_report: MakeReport, make_result: MakeResult, hostile: str) -> None:
    root = badge(make_report([make_result()], command=hostile))
    assert [each.tag for each in root] == [f"{SVG}{name}" for name in ("title", "rect", "rect", "text", "text")]
