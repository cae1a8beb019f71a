import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from audit.results import Check, Comparison, Evidence, Location, Outcome, Result, Series, Severity, Subject, SubjectKind

MakeResult = Callable[..., Result]
UNJUDGED = (Outcome.ERROR, Outcome.SKIPPED, Outcome.NOT_APPLICABLE)
NOT_PASSED = (Outcome.FAILED, *UNJUDGED)
SUBJECT = Subject(kind=SubjectKind.MODEL, spec="model")
COMPLETE = {"measured": 1, "bound": 1, "comparison": Comparison.EQUAL, "bound_origin": "counted"}


def test_a_pass_with_evidence_constructs(make_result: MakeResult) -> None:
    assert make_result(evidence=Evidence(**COMPLETE)).outcome is Outcome.PASSED


@pytest.mark.parametrize("empty", [None, ""])
@pytest.mark.parametrize("missing", ["measured", "bound", "bound_origin"])
def test_a_pass_without_evidence_is_refused(make_result: MakeResult, missing: str, empty: str | None) -> None:
    evidence = Evidence(**COMPLETE | {missing: empty})
    with pytest.raises(ValidationError, match=f"a pass needs evidence; missing: {missing}"):
        make_result(evidence=evidence)


def test_a_refusal_names_everything_that_is_missing(make_result: MakeResult) -> None:
    with pytest.raises(ValidationError, match="missing: measured, bound, bound_origin"):
        make_result(evidence=Evidence())


def test_a_pass_whose_numbers_are_not_compared_is_refused(make_result: MakeResult) -> None:
    # Without the comparison nothing can tell that 5 does not satisfy a bound of 1.
    with pytest.raises(ValidationError, match="comparison"):
        make_result(evidence=Evidence(**COMPLETE | {"measured": 5, "comparison": None}))


@pytest.mark.parametrize("outcome", NOT_PASSED)
@pytest.mark.parametrize("reason", [None, "", " \n\t"])
def test_every_other_outcome_needs_a_reason(make_result: MakeResult, outcome: Outcome, reason: str | None) -> None:
    with pytest.raises(ValidationError, match=f"outcome '{outcome.value}' needs a reason"):
        make_result(outcome, reason=reason)


def test_a_pass_needs_no_reason(make_result: MakeResult) -> None:
    assert make_result(reason=None).reason is None


@pytest.mark.parametrize("comparison", list(Comparison))
def test_a_pass_cannot_rest_on_nan(make_result: MakeResult, comparison: Comparison) -> None:
    evidence = Evidence(measured=math.nan, bound=math.nan, comparison=comparison, bound_origin="none")
    with pytest.raises(ValidationError, match="NaN"):
        make_result(evidence=evidence)


@pytest.mark.parametrize("comparison", list(Comparison))
@pytest.mark.parametrize(("measured", "bound"), [(math.nan, 1.0), (1.0, math.nan), (math.nan, math.nan)])
def test_nan_satisfies_no_bound(comparison: Comparison, measured: float, bound: float) -> None:
    assert not comparison.holds(measured, bound)


@pytest.mark.parametrize(
    ("outcome", "measured", "comparison", "bound"),
    [
        (Outcome.PASSED, 2, Comparison.AT_MOST, 1),
        (Outcome.PASSED, 0, Comparison.AT_LEAST, 1),
        (Outcome.PASSED, 0.5, Comparison.EQUAL, 0.0),
        (Outcome.PASSED, math.inf, Comparison.AT_MOST, 1e300),
        (Outcome.FAILED, 1, Comparison.AT_MOST, 1),
        (Outcome.FAILED, 0, Comparison.EQUAL, 0.0),
        (Outcome.FAILED, 3, Comparison.AT_LEAST, 1),
    ],
)
def test_numbers_that_contradict_the_outcome_are_refused(
    make_result: MakeResult, outcome: Outcome, measured: float, comparison: Comparison, bound: float
) -> None:
    evidence = Evidence(measured=measured, bound=bound, comparison=comparison, bound_origin="somewhere")
    with pytest.raises(ValidationError, match="contradicts its evidence"):
        make_result(outcome, evidence=evidence)


def test_texts_that_must_be_equal_and_are_not_are_no_pass(make_result: MakeResult) -> None:
    evidence = Evidence(measured="zoo:Toy", bound="zoo:Model", comparison=Comparison.EQUAL, bound_origin="declared")
    with pytest.raises(ValidationError, match="contradicts its evidence"):
        make_result(evidence=evidence)


@pytest.mark.parametrize(
    ("measured", "bound"), [("NaN", 1.0), ("Infinity", 1.0), ("-Infinity", "NaN")], ids=["nan", "inf", "nan bound"]
)
def test_a_pass_read_from_json_cannot_hide_a_number_in_a_string(
    make_result: MakeResult, measured: str, bound: float | str
) -> None:
    # JSON has no NaN and no infinity: they are written as these strings, and must be judged as what they are.
    document = json.loads(make_result().model_dump_json())
    document["evidence"] |= {"measured": measured, "bound": bound, "comparison": "<="}
    with pytest.raises(ValidationError):
        Result.model_validate_json(json.dumps(document))


numbers = st.one_of(st.integers(-(10**9), 10**9), st.floats())


@given(numbers, numbers, st.sampled_from(Comparison), st.sampled_from([Outcome.PASSED, Outcome.FAILED]))
@settings(deadline=None)
def test_a_judged_result_constructs_exactly_when_its_numbers_agree(
    measured: float, bound: float, comparison: Comparison, outcome: Outcome
) -> None:
    holds = {"<=": measured <= bound, ">=": measured >= bound, "==": measured == bound}[comparison.value]
    assume(outcome is Outcome.FAILED or (math.isfinite(measured) and math.isfinite(bound)))
    try:
        Result(
            check="area.first",
            outcome=outcome,
            reason="for a reason",
            severity=Severity.MINOR,
            subject=SUBJECT,
            evidence=Evidence(measured=measured, bound=bound, comparison=comparison, bound_origin="drawn"),
        )
    except ValidationError:
        assert holds is (outcome is Outcome.FAILED)
    else:
        assert holds is (outcome is Outcome.PASSED)


@pytest.mark.parametrize("bound", [math.inf, "Infinity"])
def test_a_pass_cannot_rest_on_an_infinite_bound(bound: float | str) -> None:
    evidence = Evidence(measured=bound, bound=bound, comparison=Comparison.EQUAL, bound_origin="drawn")
    with pytest.raises(ValidationError, match="infinite"):
        Result(check="area.first", outcome="passed", severity="minor", subject=SUBJECT, evidence=evidence)


@given(st.sampled_from(UNJUDGED), st.text(), numbers, numbers)
@settings(deadline=None)
def test_what_was_not_judged_may_carry_any_numbers(
    outcome: Outcome, reason: str, measured: float, bound: float
) -> None:
    assume(reason.strip())
    evidence = Evidence(measured=measured, bound=bound, comparison=Comparison.EQUAL)
    result = Result(
        check="area.first", outcome=outcome, reason=reason, severity="minor", subject=SUBJECT, evidence=evidence
    )
    assert not result.outcome.judged


@given(st.floats())
@settings(deadline=None)
def test_json_of_a_failure_is_valid_whatever_was_measured(measured: float) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    result = Result(
        check="area.first",
        outcome=Outcome.FAILED,
        reason="far off",
        severity=Severity.MINOR,
        subject=SUBJECT,
        evidence=Evidence(measured=measured),
    )
    text = result.model_dump_json()
    assert json.loads(text, parse_constant=refuse)["outcome"] == "failed"
    assert Result.model_validate_json(text).model_dump_json() == text


FROZEN: tuple[BaseModel, ...] = (
    SUBJECT,
    Evidence(),
    Location(path="a.py"),
    Check(id="area.first", title="t", proves="p", defect="d", severity=Severity.MINOR),
    Result(check="area.first", outcome=Outcome.ERROR, reason="r", severity=Severity.MINOR, subject=SUBJECT),
)


@pytest.mark.parametrize("model", FROZEN, ids=lambda model: type(model).__name__)
def test_nothing_can_be_changed_afterwards(model: BaseModel) -> None:
    field = next(iter(type(model).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model, field, "changed")


@pytest.mark.parametrize("model", FROZEN, ids=lambda model: type(model).__name__)
def test_unknown_keys_are_refused(model: BaseModel) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(model).model_validate(model.model_dump() | {"approved": True})


@pytest.mark.parametrize("name", ["area", "area.", ".first", "Area.first", "area first.one", "area.first\n", "a1.b"])
def test_a_check_is_named_area_dot_name(name: str) -> None:
    with pytest.raises(ValidationError):
        Check(id=name, title="t", proves="p", defect="d", severity=Severity.MINOR)


@pytest.mark.parametrize("value", ["ok", "PASSED", "xfail", "", None, True, 1])
def test_there_are_five_outcomes(make_result: MakeResult, value: Any) -> None:
    with pytest.raises(ValidationError):
        Result.model_validate(make_result().model_dump() | {"outcome": value})


def test_only_passed_and_failed_are_judged() -> None:
    assert [outcome for outcome in Outcome if outcome.judged] == [Outcome.PASSED, Outcome.FAILED]


def test_minor_does_not_gate_a_release() -> None:
    assert [severity for severity in Severity if severity.gates_release] == [Severity.CRITICAL, Severity.MAJOR]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"spec": "s", "module": "m", "qualname": "Q", "path": "p"}, "s"),
        ({"module": "m", "qualname": "Q", "path": "p"}, "m:Q"),
        ({"module": "m", "path": "p"}, "m"),
        ({"qualname": "Q"}, "Q"),
        ({"path": "p"}, "p"),
        ({}, "package"),
    ],
)
def test_a_subject_is_called_by_what_is_most_specific(fields: dict[str, str], name: str) -> None:
    assert Subject(kind=SubjectKind.PACKAGE, **fields).name == name


def test_a_series_has_one_value_for_each_place() -> None:
    Series(name="loss", x_name="step", x=(1.0, 2.0), y=(float("nan"), 1.0))
    with pytest.raises(ValidationError, match="2 places and 1 values"):
        Series(name="loss", x_name="step", x=(1.0, 2.0), y=(1.0,))
