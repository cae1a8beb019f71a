from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from audit.results import Outcome, Result, Severity
from audit.waivers import Day, Waiver, contradiction, waive

MakeResult = Callable[..., Result]
TODAY = date(2026, 11, 26)
BY = Day(day=TODAY, origin="clock")


def waiver(check: str = "area.first", subject: str = "subject", **changes: Any) -> Waiver:
    given = {"owner": "Ada", "reason": "known since 1843", "expires": date(2027, 1, 31)} | changes
    return Waiver(check=check, subject=subject, **given)


def test_a_waived_failure_stays_failed_and_names_who_answers_for_it(make_result: MakeResult) -> None:
    results, (row,) = waive([make_result(Outcome.FAILED)], [waiver()], BY)
    assert results[0].outcome is Outcome.FAILED
    assert results[0].waived == "waived by Ada until 2027-01-31: known since 1843"
    assert (row.state, row.waives, row.remark) == ("in force", 1, None)


@pytest.mark.parametrize(("expires", "state"), [(TODAY, "in force"), (date(2026, 11, 25), "expired")])
def test_the_day_of_expiry_is_the_last_one(make_result: MakeResult, expires: date, state: str) -> None:
    results, (row,) = waive([make_result(Outcome.FAILED)], [waiver(expires=expires)], BY)
    assert row.state == state
    assert (results[0].waived is None) == (state == "expired")


def test_an_expired_waiver_says_what_counts_again(make_result: MakeResult) -> None:
    expired = waiver(expires=date(2026, 1, 1))
    _, (row,) = waive([make_result(Outcome.FAILED)], [expired], BY)
    assert (
        row.remark == "it expired on 2026-01-01, and area.first on subject counts again unless another waiver covers it"
    )


@pytest.mark.parametrize(
    ("check", "subject", "severity", "covers"),
    [
        ("area.first", "subject", Severity.CRITICAL, True),
        ("area.*", "subject", Severity.CRITICAL, False),
        ("area.first", "*", Severity.CRITICAL, False),
        ("area.*", "sub*", Severity.MAJOR, True),
        ("*", "*", Severity.MINOR, True),
    ],
)
def test_a_critical_failure_is_waived_by_its_exact_names_alone(
    make_result: MakeResult, check: str, subject: str, severity: Severity, covers: bool
) -> None:
    failure = make_result(Outcome.FAILED, severity=severity)
    results, (row,) = waive([failure], [waiver(check, subject)], BY)
    assert bool(results[0].waived) is covers
    assert row.state == ("in force" if covers else "too wide")
    assert ("named exactly" in (row.remark or "")) is not covers


def test_a_pattern_waives_what_it_may_and_says_what_it_does_not_cover(make_result: MakeResult) -> None:
    critical = make_result(Outcome.FAILED, "area.first")
    minor = make_result(Outcome.FAILED, "area.second", severity=Severity.MINOR)
    results, (row,) = waive([critical, minor], [waiver("area.*", "*")], BY)
    assert [bool(result.waived) for result in results] == [False, True]
    assert (row.state, row.waives) == ("in force", 1)
    assert row.remark == "it does not cover area.first on subject: a critical failure has to be named exactly"


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.SKIPPED])
def test_what_was_not_judged_cannot_be_waived(make_result: MakeResult, outcome: Outcome) -> None:
    results, (row,) = waive([make_result(outcome)], [waiver()], BY)
    assert results[0].waived is None
    assert (row.state, row.waives) == ("unused", 0)
    assert row.remark == "area.first on subject was not judged, which cannot be waived"


def test_a_waiver_of_what_passes_is_said_to_be_unused(make_result: MakeResult) -> None:
    _, (row,) = waive([make_result(Outcome.PASSED)], [waiver()], BY)
    assert (row.state, row.remark) == ("unused", "nothing that it names fails any more; take it out")


def test_a_waiver_of_what_is_not_there_is_said_by_a_whole_run_only(make_result: MakeResult) -> None:
    absent = waiver("other.check")
    _, (row,) = waive([make_result(Outcome.FAILED)], [absent], BY)
    assert row.remark == "the run has no such check and subject; take it out, or mend its names"
    assert waive([make_result(Outcome.FAILED)], [absent], BY, absent=None)[1] == ()


@pytest.mark.parametrize(
    ("check", "is_told"), [("area.frist", True), ("area.f*t", True), ("first", True), ("other.check", False)]
)
def test_a_command_of_one_area_tells_of_a_misspelt_check_of_its_own(
    make_result: MakeResult, check: str, is_told: bool
) -> None:
    results = [make_result(Outcome.FAILED)]
    _, rows = waive(results, [waiver(check, "absent")], BY, every_area=False)
    assert [row.state for row in rows] == ["unused"] * is_told
    assert contradiction(results, rows, BY if is_told else None) is None


@pytest.mark.parametrize("check", ["first", "area.frist"])
def test_what_a_misspelt_check_may_be_called_is_said(make_result: MakeResult, check: str) -> None:
    _, (row,) = waive([make_result(Outcome.FAILED)], [waiver(check)], BY)
    assert (row.remark or "").endswith("; did you mean area.first?")
    _, (right,) = waive([make_result(Outcome.FAILED)], [waiver(subject="another")], BY)
    assert "did you mean" not in (right.remark or "")


def test_of_two_waivers_for_one_failure_the_second_is_unused(make_result: MakeResult) -> None:
    _, rows = waive([make_result(Outcome.FAILED)], [waiver(), waiver(owner="Bob")], BY)
    assert [row.state for row in rows] == ["in force", "unused"]
    assert rows[1].remark == "another waiver above it covers the same"


def test_a_clock_that_was_set_back_is_not_believed() -> None:
    back = Day.of(date(2020, 1, 1), date(2026, 11, 26))
    assert (back.day, back.origin) == (date(2026, 11, 26), "commit")


@pytest.mark.parametrize("commit", [None, date(2026, 11, 25), TODAY])
def test_a_clock_that_is_not_behind_the_commit_is_believed(commit: date | None) -> None:
    assert Day.of(TODAY, commit) == Day(day=TODAY, origin="clock")


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.FAILED])
def test_only_a_failure_can_carry_a_waiver(make_result: MakeResult, outcome: Outcome) -> None:
    with pytest.raises(ValidationError, match="only a failure is waived"):
        make_result(outcome, waived="by nobody")


def test_what_others_have_marked_does_not_count(make_result: MakeResult) -> None:
    marked = make_result(Outcome.FAILED, waived="by a machine far away")
    assert waive([marked], [], None)[0][0].waived is None
    assert waive([marked], [waiver("other.check")], BY)[0][0].waived is None
