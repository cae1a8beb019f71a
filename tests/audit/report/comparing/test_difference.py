import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest

from audit.errors import UsageError
from audit.gates import Gates
from audit.profiles import Profile
from audit.report.comparing.difference import Difference, Entry, difference
from audit.report.comparing.rendering import diff_json, diff_markdown, diff_text
from audit.report.document import Report
from audit.results import Outcome, Result, Severity, Subject, SubjectKind
from audit.waivers import Day, Waiver, waive

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
Compare = Callable[..., Difference]
P, F, E, S, N = Outcome.PASSED, Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED, Outcome.NOT_APPLICABLE


@pytest.fixture
def compare(make_report: MakeReport, make_result: MakeResult) -> Compare:
    """Compares two reports, each given as outcomes by subject."""

    def make(old: dict[str, Outcome], new: dict[str, Outcome], severity: Severity = Severity.CRITICAL) -> Difference:
        reports = [
            make_report([make_result(outcome, name=name, severity=severity) for name, outcome in side.items()])
            for side in (old, new)
        ]
        return difference(*reports)

    return make


def sections(found: Difference) -> dict[str, list[str]]:
    names = ("new_failures", "fixed", "still_failing", "no_longer_judged", "newly_judged")
    listed: dict[str, tuple[Entry, ...]] = {name: getattr(found, name) for name in names}
    return {name: [entry.subject for entry in entries] for name, entries in listed.items() if entries}


@pytest.mark.parametrize(
    ("before", "after", "expected", "worse"),
    [
        (P, P, {}, False),
        (P, F, {"new_failures": ["m"]}, True),
        (F, P, {"fixed": ["m"]}, False),
        (F, F, {"still_failing": ["m"]}, False),
        (P, S, {"no_longer_judged": ["m"]}, True),
        (F, E, {"no_longer_judged": ["m"]}, True),
        (F, N, {"no_longer_judged": ["m"]}, True),
        (S, P, {"newly_judged": ["m"]}, False),
        (E, F, {"new_failures": ["m"]}, True),
        (S, E, {}, False),
        (F, None, {"no_longer_judged": ["m"]}, True),
        (None, P, {"newly_judged": ["m"]}, False),
        (None, F, {"new_failures": ["m"]}, True),
    ],
)
def test_each_change_is_in_its_section(
    before: Outcome | None, after: Outcome | None, expected: dict[str, list[str]], worse: bool, compare: Compare
) -> None:
    old = {"other": P} | ({"m": before} if before else {})
    new = {"other": P} | ({"m": after} if after else {})
    found = compare(old, new)
    assert sections(found) == expected
    assert (found.worse, found.exit_code) == (worse, int(worse))


def test_what_gates_no_release_does_not_make_it_worse(compare: Compare) -> None:
    found = compare({"m": P, "n": P}, {"m": F, "n": P}, Severity.MINOR)
    assert sections(found) == {"new_failures": ["m"]}
    assert not found.worse
    assert "What is new or no longer judged gates no release." in found.says


def test_a_gate_on_minor_failures_makes_a_new_one_count(make_report: MakeReport, make_result: MakeResult) -> None:
    results = [[make_result(each, name="m", severity=Severity.MINOR)] for each in (S, F)]
    gates = Gates(fail_on=(Severity.MINOR,))
    found = difference(*(make_report(each, gates=gates) for each in results))
    assert (found.worse, found.exit_code) == (True, 1)
    assert "1 new failure (1 of them gate a release)" in found.says
    assert found.says.startswith("The release got worse")
    ungated = difference(*map(make_report, results))
    assert not ungated.worse
    assert ungated.says.startswith("The release is neither better nor worse")


def test_the_paragraph_says_whether_it_got_better_and_by_what(compare: Compare) -> None:
    assert compare({"m": F}, {"m": P}).says == (
        "The release got better: the verdict was not ready and is ready. 0 new failures (0 of them gate a release), "
        "1 fixed, 0 no longer judged, 0 newly judged; the score was 0 % and is 100 %, the coverage was 100 % and is "
        "100 %."
    )
    lost = compare({"m": F, "n": P}, {"m": P, "n": N}).says
    assert lost.startswith("The release got better where it is judged, but less of what gates it is judged: ")
    assert "1 fixed, 1 no longer judged (1 of them gate a release), 0 newly judged" in lost
    assert compare({"m": P}, {"m": F}).says.startswith("The release got worse: the verdict was ready and is not ready")
    assert compare({"m": P}, {"m": P}).says.startswith("The release is neither better nor worse: ")


def finding(make_result: MakeResult, path: str, fingerprint: str) -> Result:
    return make_result(F, "rules.seed", subject=Subject(kind=SubjectKind.FILE, path=path), fingerprint=fingerprint)


def whole(make_result: MakeResult, outcome: Outcome = P) -> Result:
    return make_result(outcome, "rules.seed", subject=Subject(kind=SubjectKind.PACKAGE, module="zoo"))


def test_findings_are_matched_by_fingerprint(make_report: MakeReport, make_result: MakeResult) -> None:
    old = make_report([finding(make_result, "a.py", "1"), finding(make_result, "a.py", "2")])
    new = make_report([finding(make_result, "a.py", "2"), finding(make_result, "b.py", "3")])
    assert sections(difference(old, new)) == {
        "new_failures": ["b.py"],
        "fixed": ["a.py"],
        "still_failing": ["a.py"],
    }


def test_the_last_finding_that_is_gone_is_fixed_and_the_first_is_new(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    found, clean = make_report([finding(make_result, "a.py", "1")]), make_report([whole(make_result)])
    assert sections(difference(found, clean))["fixed"] == ["a.py"]
    assert "no_longer_judged" not in sections(difference(found, clean))
    assert sections(difference(clean, found)) == {"new_failures": ["a.py"]}


def test_a_finding_that_nobody_looked_for_is_not_fixed(make_report: MakeReport, make_result: MakeResult) -> None:
    found = make_report([finding(make_result, "a.py", "1")])
    for unjudged in ([whole(make_result, S)], [make_result(P, "area.other")]):
        told = sections(difference(found, make_report(unjudged)))
        assert "a.py" in told["no_longer_judged"]
        assert "fixed" not in told


def test_a_partial_report_is_worse_than_a_verdict(make_report: MakeReport, make_result: MakeResult) -> None:
    old = make_report([make_result()])
    new = make_report([make_result()], partial_reason="limited")
    assert difference(old, new).worse
    assert "partial" in difference(old, new).says
    assert not difference(new, new).worse


def test_unlike_reports_are_not_compared(make_report: MakeReport) -> None:
    with pytest.raises(UsageError, match="of another package: zoo and other"):
        difference(make_report([]), make_report([], package="other"))
    with pytest.raises(UsageError, match="of another command: readiness and smoke"):
        difference(make_report([]), make_report([], command="smoke"))


def test_the_same_reports_give_the_same_text(make_report: MakeReport, make_result: MakeResult) -> None:
    results = [make_result(F, name=name) for name in "cab"]
    old = make_report([make_result(name=name) for name in "abc"])
    texts = {diff_json(difference(old, make_report(each))) for each in (results, results[::-1])}
    assert len(texts) == 1
    (text,) = texts
    assert [entry["subject"] for entry in json.loads(text)["new_failures"]] == ["a", "b", "c"]
    assert Difference.model_validate_json(text).worse


def test_nothing_of_the_targets_reaches_a_terminal_or_markdown_as_it_is(compare: Compare) -> None:
    found = compare({"\x1b[2J<script>|`x`": P}, {"\x1b[2J<script>|`x`": F})
    assert "\x1b" not in diff_text(found)
    (row,) = [line for line in diff_markdown(found).splitlines() if "script" in line]
    assert row.replace("\\|", "").count("|") == 6
    assert "\x1b" not in row


def test_each_form_has_every_section(compare: Compare) -> None:
    found = compare({"a": P, "b": F, "c": P, "d": S, "e": F}, {"a": F, "b": P, "c": S, "d": P, "e": F})
    for text in (diff_text(found), diff_markdown(found).lower()):
        for title in ("new failures (1)", "fixed (1)", "still failing (1)", "no longer judged (1)", "newly judged (1)"):
            assert title in text


def test_long_lists_are_shortened_in_text_and_say_so(compare: Compare) -> None:
    names: dict[str, Any] = {f"m{number:03}": P for number in range(60)}
    found = compare(names, dict.fromkeys(names, F))
    assert "  and 10 more; --format json has all" in diff_text(found)
    assert "m059" in diff_markdown(found)


def test_what_is_undeclared_now_does_not_outweigh_in_words_what_was_mended(compare: Compare) -> None:
    found = compare({"mended": F, "undeclared": P, "other": P}, {"mended": P, "undeclared": N, "other": P})
    assert sections(found) == {"fixed": ["mended"], "no_longer_judged": ["undeclared"]}
    assert found.says.startswith(
        "The release got better where it is judged, but less of what gates it is judged: "
        "the verdict was not ready and is ready. "
    )
    assert found.exit_code == 1
    alone = compare({"undeclared": P, "other": P}, {"undeclared": N, "other": P})
    assert alone.says.startswith("Less of what gates the release is judged: the verdict is ready, as before. ")
    assert alone.exit_code == 1


def test_a_new_failure_beside_a_mended_one_is_told_as_both(compare: Compare) -> None:
    both = compare({"mended": F, "broken": P}, {"mended": P, "broken": F})
    assert both.says.startswith("The release got better in some respects and worse in others: ")
    assert compare({"broken": P}, {"broken": F}).says.startswith("The release got worse: ")
    assert compare({"other": P}, {"other": P, "more": F}).says.startswith("The release got worse: ")
    assert compare({"broken": P}, {"broken": F, "more": P}).says.startswith("The release got worse: ")


def for_profile(
    make_report: MakeReport, make_result: MakeResult, profile: Profile | None, *, on_gpu: Outcome | None
) -> Report:
    """Return a release's report on a model for CPUs, and one for a GPU; without outcome that lies outside."""
    left_out = Profile.CPU.outside(1)
    second = make_result(on_gpu or N, name="b") if on_gpu else make_result(N, name="b", reason=left_out)
    return make_report([make_result(name="a"), second], release=True, profile=profile)


@pytest.mark.parametrize(("on_gpu", "profile"), [(P, Profile.GPU), (P, None), (S, Profile.GPU)])
def test_reports_for_different_profiles_are_told_as_such_and_their_verdicts_not_ranked(
    on_gpu: Outcome, profile: Profile | None, make_report: MakeReport, make_result: MakeResult
) -> None:
    cpu = for_profile(make_report, make_result, Profile.CPU, on_gpu=None)
    other = for_profile(make_report, make_result, profile, on_gpu=on_gpu)
    for old, new in ((cpu, other), (other, cpu)):
        found = difference(old, new)
        names = [side.profile or "none" for side in (old, new)]
        assert found.says.startswith(
            f"The reports are for different profiles, {names[0]} and {names[1]}, so their verdicts are about "
            "different hardware. "
        )
        assert not found.worse
        assert "ready, for use on CPUs" in diff_text(found)
        assert "ready, for use on CPUs" in diff_markdown(found)
    assert not difference(cpu, cpu).says.startswith("The reports")


def test_a_failure_on_the_hardware_of_another_profile_is_worse_all_the_same(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    cpu = for_profile(make_report, make_result, Profile.CPU, on_gpu=None)
    assert difference(cpu, for_profile(make_report, make_result, Profile.GPU, on_gpu=F)).worse


def test_what_one_profile_judges_no_longer_counts(make_report: MakeReport, make_result: MakeResult) -> None:
    judged, lost = (for_profile(make_report, make_result, Profile.GPU, on_gpu=each) for each in (P, N))
    assert difference(judged, lost).worse


def test_who_waived_a_failure_that_still_stands_is_told(make_report: MakeReport, make_result: MakeResult) -> None:
    failure = make_result(F, name="m", reason="too slow")
    until = datetime.date(2030, 1, 1)
    waiver = Waiver(check=failure.check, subject="m", owner="Ann", reason="old", expires=until)
    by = Day(day=datetime.date(2026, 1, 1), origin="clock")
    results, rows = waive([failure], [waiver], by)
    plain, waived = make_report([failure]), make_report(results, waivers=rows, waivers_by=by)
    found = difference(plain, waived)
    said = "waived by Ann until 2030-01-01: old"
    assert [each.waived for each in found.still_failing] == [said]
    assert f"failed -> failed: {said}; too slow" in diff_text(found)
    assert f"{said}; too slow" in diff_markdown(found)
    back = difference(waived, plain)
    assert [each.waived for each in back.still_failing] == [None]
    assert "waived" not in diff_text(back).partition("still failing")[2]
