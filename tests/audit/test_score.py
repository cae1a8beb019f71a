from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.results import Comparison, Evidence, Outcome, Result, Severity, Subject, SubjectKind
from audit.score import Verdict, summarise, verdict

MakeResult = Callable[..., Result]
_PASSED = Evidence(measured=0, bound=0, comparison=Comparison.EQUAL, bound_origin="none may differ")


def result(check: str, outcome: Outcome, severity: Severity = Severity.CRITICAL, name: str = "subject") -> Result:
    passed = outcome is Outcome.PASSED
    return Result(
        check=check,
        outcome=outcome,
        reason=None if passed else "because",
        severity=severity,
        subject=Subject(kind=SubjectKind.MODEL, spec=name),
        evidence=_PASSED if passed else Evidence(),
    )


results = st.builds(
    result,
    st.sampled_from(["one.first", "one.second", "two.first", "three.first"]),
    st.sampled_from(Outcome),
    st.sampled_from(Severity),
)
lists = st.lists(results, max_size=12)
OF_EACH = [
    result("area.first", Outcome.PASSED),
    result("area.first", Outcome.FAILED),
    result("area.first", Outcome.ERROR),
    result("area.first", Outcome.SKIPPED),
]


def _orderable(value: float | None) -> float:
    """Where nothing applies there is no score: that is worth less than nothing earned."""
    return -1.0 if value is None else value


def test_only_passed_earns_credit_and_only_conclusions_cover() -> None:
    summary = summarise(OF_EACH)
    assert (summary.score, summary.coverage) == (0.25, 0.5)


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.SKIPPED])
def test_what_was_not_judged_stays_in_the_denominator(outcome: Outcome) -> None:
    summary = summarise([result("area.first", Outcome.PASSED), result("area.first", outcome)])
    assert (summary.score, summary.coverage) == (0.5, 0.5)


def test_what_does_not_apply_leaves_the_denominator_and_is_counted() -> None:
    summary = summarise([*OF_EACH, *3 * [result("area.first", Outcome.NOT_APPLICABLE)]])
    assert (summary.score, summary.coverage) == (0.25, 0.5)
    (area,) = summary.areas
    assert (area.passed, area.failed, area.error, area.skipped, area.not_applicable) == (1, 1, 1, 1, 3)


def test_an_area_in_which_nothing_applies_has_no_score() -> None:
    summary = summarise([result("one.first", Outcome.NOT_APPLICABLE), result("two.first", Outcome.PASSED)])
    assert [(area.name, area.score, area.coverage) for area in summary.areas] == [("one", None, None), ("two", 1, 1)]
    assert (summary.score, summary.coverage) == (1, 1)


def test_areas_combine_by_minimum() -> None:
    strong = [result("one.first", Outcome.PASSED)] * 99
    summary = summarise([*strong, result("two.first", Outcome.PASSED), result("two.second", Outcome.SKIPPED)])
    assert (summary.score, summary.coverage) == (0.5, 0.5)


def test_a_check_weighs_the_same_however_many_subjects_it_has() -> None:
    many = [result("area.many", Outcome.PASSED, name=f"file {index}") for index in range(1000)]
    assert summarise([*many, result("area.one", Outcome.FAILED)]).score == 0.5


@pytest.mark.slow
def test_a_single_failure_among_millions_is_not_a_full_score() -> None:
    passes = 3_000_000 * [result("area.first", Outcome.PASSED)]
    assert summarise(passes).score == 1
    summary = summarise([*passes, result("area.first", Outcome.FAILED)])
    assert (summary.score, summary.coverage) == (0.999999, 1)
    summary = summarise([*passes, result("area.first", Outcome.ERROR)])
    assert (summary.score, summary.coverage) == (0.999999, 0.999999)


def test_a_share_is_rounded_down() -> None:
    passes = [result("area.first", Outcome.PASSED)] * 2
    summary = summarise([*passes, result("area.first", Outcome.SKIPPED)])
    assert (summary.score, summary.coverage) == (0.666666, 0.666666)


@pytest.mark.parametrize("count", [3, 7, 10, 49, 100])
def test_the_share_of_all_is_one_and_that_of_hundredths_is_exact(count: int) -> None:
    checks = [result(f"area.{'a' * (index + 1)}", Outcome.PASSED) for index in range(count)]
    assert summarise(checks).score == 1
    for passed in range(0, 101, 29):
        found = [result("area.first", Outcome.PASSED if index < passed else Outcome.FAILED) for index in range(100)]
        assert summarise(found).score == passed / 100


def test_nothing_at_all_has_no_score_and_is_incomplete() -> None:
    assert summarise([]).score is None
    assert summarise([]).coverage is None
    assert verdict([], release=True) is Verdict.INCOMPLETE
    assert verdict([], release=False) is Verdict.INCOMPLETE


@pytest.mark.parametrize("release", [True, False])
def test_a_run_in_which_nothing_applies_is_incomplete(release: bool) -> None:
    assert verdict([result("area.first", Outcome.NOT_APPLICABLE)], release=release) is Verdict.INCOMPLETE


@pytest.mark.parametrize("severity", [Severity.CRITICAL, Severity.MAJOR])
def test_one_failure_that_gates_is_not_ready_whatever_the_score(severity: Severity) -> None:
    passes = [result("area.first", Outcome.PASSED)] * 999
    found = [*passes, result("area.first", Outcome.FAILED, severity)]
    assert summarise(found).score == 0.999
    assert verdict(found, release=True) is Verdict.NOT_READY
    assert verdict(found, release=False) is Verdict.FINDINGS


def test_a_failure_outweighs_what_was_not_judged() -> None:
    assert verdict(OF_EACH, release=True) is Verdict.NOT_READY


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.SKIPPED])
def test_one_gating_check_that_was_not_judged_is_incomplete(outcome: Outcome) -> None:
    found = [result("area.first", Outcome.PASSED), result("area.second", outcome, Severity.MAJOR)]
    assert verdict(found, release=True) is Verdict.INCOMPLETE


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED])
def test_a_minor_check_is_reported_and_does_not_gate(outcome: Outcome) -> None:
    found = [result("area.first", Outcome.PASSED), result("area.second", outcome, Severity.MINOR)]
    assert verdict(found, release=True) is Verdict.READY
    assert verdict(found, release=False) is Verdict.CLEAN
    assert summarise(found).score == 0.5


@given(lists, results)
@settings(deadline=None)
def test_adding_a_failure_never_raises_anything(found: list[Result], extra: Result) -> None:
    failure = result(extra.check, Outcome.FAILED, extra.severity)
    before, after = summarise(found), summarise([*found, failure])
    if before.score is not None:
        assert after.score is not None
        assert after.score <= before.score
    assert after.score != 1
    if extra.severity.gates_release:
        assert verdict([*found, failure], release=True) is Verdict.NOT_READY
    assert _rank([*found, failure]) <= _rank(found)


def _rank(found: Sequence[Result]) -> int:
    return {Verdict.NOT_READY: 0, Verdict.INCOMPLETE: 1, Verdict.READY: 2}[verdict(found, release=True)]


@given(lists, st.data(), st.sampled_from([Outcome.SKIPPED, Outcome.ERROR]))
@settings(deadline=None)
def test_not_judging_what_passed_never_raises_anything(found: list[Result], data: st.DataObject, to: Outcome) -> None:
    found = [*found, result("one.first", Outcome.PASSED)]
    index = data.draw(st.sampled_from([i for i, each in enumerate(found) if each.outcome is Outcome.PASSED]))
    worse = [*found]
    worse[index] = result(found[index].check, to, found[index].severity)
    before, after = summarise(found), summarise(worse)
    assert _orderable(after.score) <= _orderable(before.score)
    assert _orderable(after.coverage) <= _orderable(before.coverage)
    assert _rank(worse) <= _rank(found)
    by_name = {area.name: area for area in after.areas}
    assert all(_orderable(by_name[area.name].score) <= _orderable(area.score) for area in before.areas)


@given(lists, st.data())
@settings(deadline=None)
def test_leaving_a_failure_unjudged_is_not_a_way_to_ready(found: list[Result], data: st.DataObject) -> None:
    found = [*found, result("one.first", Outcome.FAILED)]
    hidden = [result(r.check, Outcome.SKIPPED, r.severity) if r.outcome is Outcome.FAILED else r for r in found]
    assert verdict(hidden, release=True) is not Verdict.READY
    assert _orderable(summarise(hidden).score) <= _orderable(summarise(found).score)


@given(st.lists(results, min_size=1, max_size=12), st.data())
@settings(deadline=None)
def test_order_does_not_matter(found: list[Result], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(found))
    assert summarise(shuffled) == summarise(found)
    assert verdict(shuffled, release=True) is verdict(found, release=True)


@given(lists)
@settings(deadline=None)
def test_ready_means_that_every_gating_check_passed_or_does_not_apply(found: list[Result]) -> None:
    gating = {each.outcome for each in found if each.severity.gates_release}
    passed = any(each.outcome is Outcome.PASSED for each in found)
    is_ready = gating <= {Outcome.PASSED, Outcome.NOT_APPLICABLE} and passed
    assert (verdict(found, release=True) is Verdict.READY) is is_ready
    assert (verdict(found, release=False) is Verdict.CLEAN) is is_ready


@given(lists)
@settings(deadline=None)
def test_shares_lie_between_0_and_1_and_score_never_exceeds_coverage(found: list[Result]) -> None:
    for area in summarise(found).areas:
        if area.score is None:
            assert area.coverage is None
            assert area.passed + area.failed + area.error + area.skipped == 0
        else:
            assert area.coverage is not None
            assert 0 <= area.score <= area.coverage <= 1
            assert (area.score == 1) is (area.failed + area.error + area.skipped == 0)


def set_apart(name: str, severity: Severity = Severity.CRITICAL) -> Result:
    return result(name, Outcome.FAILED, severity).model_copy(update={"set_apart": "in the baseline"})


def test_what_is_set_apart_counts_for_a_release_and_for_the_score_and_not_for_an_area() -> None:
    found = [result("area.first", Outcome.PASSED), set_apart("area.second")]
    assert verdict(found, release=True) is Verdict.NOT_READY
    assert verdict(found, release=False) is Verdict.CLEAN
    assert summarise(found).score == 0.5


def test_a_run_in_which_everything_is_set_apart_came_to_a_conclusion() -> None:
    assert verdict([set_apart("area.first")], release=False) is Verdict.CLEAN
    assert verdict([set_apart("area.first", Severity.MINOR)], release=True) is not Verdict.READY


def test_a_new_failure_counts_beside_one_that_is_set_apart() -> None:
    found = [set_apart("area.first"), result("area.second", Outcome.FAILED)]
    assert verdict(found, release=False) is Verdict.FINDINGS


def test_where_every_failure_counts_a_minor_one_does() -> None:
    found = [result("area.first", Outcome.PASSED), result("area.second", Outcome.FAILED, Severity.MINOR)]
    assert verdict(found, release=False, every_failure_counts=True) is Verdict.FINDINGS
    unjudged = [result("area.first", Outcome.PASSED), result("area.second", Outcome.ERROR, Severity.MINOR)]
    assert verdict(unjudged, release=False, every_failure_counts=True) is Verdict.CLEAN
