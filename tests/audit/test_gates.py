from collections.abc import Callable
from typing import Any

import pytest

from audit.gates import AreaGate, Gates, gated, missed_gates
from audit.results import Outcome, Result, Severity
from audit.score import Verdict, summarise

MakeResult = Callable[..., Result]


@pytest.fixture
def results(make_result: MakeResult) -> list[Result]:
    """Area `good` with score and coverage 1, `poor` with 0.25 and 0.5, `empty` in which nothing applies."""
    outcomes = (Outcome.PASSED, Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED)
    return [
        make_result(Outcome.PASSED, "good.one"),
        *(make_result(each, f"poor.{each.value}", severity=Severity.MINOR) for each in outcomes),
        make_result(Outcome.NOT_APPLICABLE, "empty.one"),
    ]


def missed(results: list[Result], **gates: Any) -> list[tuple[str, Verdict, str]]:
    found = missed_gates(Gates(**gates), summarise(results), results)
    return [(gate.gate, gate.verdict, gate.says) for gate in found]


def test_gates_that_are_reached_are_not_missed(results: list[Result]) -> None:
    areas = {"good": AreaGate(min_score=1, min_coverage=1), "poor": AreaGate(min_score=0.25, min_coverage=0.5)}
    gates = {"min_score": 0.25, "min_coverage": 0.5, "judged": ("good", "poor"), "areas": areas}
    assert missed(results, **gates) == []


NEEDS = "and the release needs"


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        ({"min_score": 0.3}, ("min_score", "not ready", f"the least of all areas: score 0.25, {NEEDS} 0.3")),
        (
            {"min_coverage": 0.51},
            ("min_coverage", "incomplete", f"the least of all areas: coverage 0.5, {NEEDS} 0.51"),
        ),
        (
            {"areas": {"poor": AreaGate(min_score=0.9)}},
            ("areas.poor.min_score", "not ready", f"area poor: score 0.25, {NEEDS} 0.9"),
        ),
        (
            {"areas": {"poor": AreaGate(min_coverage=0.9)}},
            ("areas.poor.min_coverage", "incomplete", f"area poor: coverage 0.5, {NEEDS} 0.9"),
        ),
        (
            {"areas": {"empty": AreaGate(min_score=0.0)}},
            ("areas.empty.min_score", "incomplete", "area empty: no score, for nothing in it applies"),
        ),
        (
            {"areas": {"godo": AreaGate(min_score=0.0)}},
            ("areas.godo", "incomplete", "there is no area godo in this report; it has empty, good, poor"),
        ),
        ({"judged": ("empty",)}, ("judged", "incomplete", "nothing in area empty was judged")),
        ({"judged": ("absent",)}, ("judged", "incomplete", "area absent has no result in this report")),
        (
            {"fail_on": (Severity.MINOR,)},
            ("fail_on", "not ready", "1 minor failure: poor.failed on subject"),
        ),
    ],
)
def test_a_gate_that_is_missed_names_what_was_needed(
    results: list[Result], gates: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    assert missed(results, **gates) == [expected]


def test_a_waived_minor_failure_does_not_block(make_result: MakeResult) -> None:
    waived = make_result(Outcome.FAILED, severity=Severity.MINOR, waived="by Ada")
    assert missed([waived], fail_on=(Severity.MINOR,)) == []
    assert missed([make_result(Outcome.FAILED, severity=Severity.MINOR)], fail_on=(Severity.MINOR,))


def test_a_waiver_earns_no_credit_at_a_gate(make_result: MakeResult) -> None:
    results = [make_result(Outcome.PASSED, name="a"), make_result(Outcome.FAILED, name="b", waived="by Ada")]
    assert missed(results, min_score=0.5) == []
    assert [gate for gate, _, _ in missed(results, min_score=0.6)] == ["min_score"]


@pytest.mark.parametrize(
    ("verdict", "gates", "expected"),
    [
        (Verdict.READY, {}, Verdict.READY),
        (Verdict.READY, {"min_coverage": 1}, Verdict.INCOMPLETE),
        (Verdict.READY_WITH_WAIVERS, {"min_score": 1, "min_coverage": 1}, Verdict.NOT_READY),
        (Verdict.NOT_READY, {"min_coverage": 1}, Verdict.NOT_READY),
        (Verdict.INCOMPLETE, {"min_score": 1}, Verdict.NOT_READY),
        (Verdict.INCOMPLETE, {}, Verdict.INCOMPLETE),
    ],
)
def test_gates_only_make_a_verdict_worse(
    results: list[Result], verdict: Verdict, gates: dict[str, Any], expected: Verdict
) -> None:
    assert gated(verdict, missed_gates(Gates(**gates), summarise(results), results)) is expected
