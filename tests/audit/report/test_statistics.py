import json
from collections.abc import Callable

from audit.report.document import Baseline, Report
from audit.report.statistics import statistics_json, statistics_text
from audit.results import Outcome, Result, Severity

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]


def test_the_most_frequent_check_comes_first_and_what_is_set_apart_is_not_counted(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    results = [
        *(make_result(Outcome.FAILED, "area.second", name=f"{number}") for number in range(12)),
        make_result(Outcome.FAILED, "area.third", severity=Severity.MINOR),
        make_result(Outcome.FAILED, "area.first"),
        make_result(Outcome.FAILED, "area.first", name="other", set_apart="in the baseline b"),
        make_result(check="area.fourth"),
    ]
    report = make_report(
        results, baselines=(Baseline(source="the baseline b", set_apart=1),), partial_reason="filtered"
    )
    assert statistics_text(report).splitlines() == [
        "partial run, no verdict: filtered",
        "1 failure is in the baseline b, and does not count here",
        "12  area.second     critical  area.second",
        " 1  area.first      critical  area.first",
        " 1  area.third      minor     area.third",
        "14 in all",
    ]
    assert [(row["check"], row["count"]) for row in json.loads(statistics_json(report))] == [
        ("area.second", 12),
        ("area.first", 1),
        ("area.third", 1),
    ]


def test_no_failure_is_said_so(make_report: MakeReport, make_result: MakeResult) -> None:
    assert statistics_text(make_report([make_result()])) == "no failure\n"
