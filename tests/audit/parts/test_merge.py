import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from audit.errors import UsageError
from audit.gates import Gates
from audit.parts.document import PlanDocument
from audit.parts.merge import merge_files
from audit.profiles import Profile
from audit.report.document import Part, Report
from audit.results import Outcome, Result, Subject, SubjectKind
from audit.score import Verdict
from audit.waivers import IN_NO_PART, Day, Waiver, waive

MakePlan = Callable[..., PlanDocument]
MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
MakePart = Callable[..., Path]


@pytest.fixture
def plan(make_plan: MakePlan) -> PlanDocument:
    return make_plan([(2, 0), (1, 0), (1, 0)])


@pytest.fixture
def make_part(plan: PlanDocument, make_report: MakeReport, make_result: MakeResult, tmp_path: Path) -> MakePart:
    """Writes the part with the given groups, all passed but those named, and returns its path."""

    def make(
        name: str, groups: Sequence[str], *, edit: Callable[[dict[str, Any]], object] = lambda d: None, **more: Any
    ) -> Path:
        results = [
            make_result(more.pop(each.subject.name, Outcome.PASSED), each.check, name=each.subject.name)
            for group in groups
            for each in plan.groups[group]
        ]
        by = Day(day=more.pop("day", date(2026, 11, 26)), origin="clock")
        if declared := more.pop("declared", ()):
            results, more["waivers"] = waive(results, declared, by, absent=IN_NO_PART)
            more["waivers_by"] = by
        checks = tuple(plan.by_check[name] for name in sorted({result.check for result in results}))
        part = Part(plan=plan.digest, label=name, groups=tuple(groups))
        report = make_report(results, **{"checks": checks, "part": part, "partial_reason": "part"} | more)
        content = json.loads(report.model_dump_json())
        edit(content)
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        return path

    return make


def groups(plan: PlanDocument, *numbers: int) -> list[str]:
    return [list(plan.groups)[number] for number in numbers]


def test_all_parts_together_have_the_verdict(plan: PlanDocument, make_part: MakePart) -> None:
    paths = [make_part("second", groups(plan, 1, 2)), make_part("first", groups(plan, 0))]
    whole = merge_files(plan, paths)
    assert (whole.verdict, whole.partial, whole.exit_code) == (Verdict.READY, False, 0)
    assert whole.part is None
    assert {result.subject.name: result.evidence.machine for result in whole.results} == {
        "model_0": "first",
        "model_1": "second",
        "model_2": "second",
    }
    assert [machine.name for machine in whole.machines] == ["first", "second"]
    assert whole == merge_files(plan, paths[::-1])


def test_a_failure_in_one_part_is_one_of_the_whole(plan: PlanDocument, make_part: MakePart) -> None:
    paths = [make_part("first", groups(plan, 0, 1)), make_part("second", groups(plan, 2), model_2=Outcome.FAILED)]
    assert merge_files(plan, paths).verdict is Verdict.NOT_READY


def test_what_no_part_holds_is_never_reported(plan: PlanDocument, make_part: MakePart) -> None:
    whole = merge_files(plan, [make_part("first", groups(plan, 0)), make_part("third", groups(plan, 2))])
    assert whole.verdict is None
    assert whole.exit_code == 3
    assert whole.partial_reason == f"merged from 2 parts with 2 of 3 groups of plan {plan.shown_digest}"
    (missing,) = [result for result in whole.results if result.outcome is Outcome.ERROR]
    assert missing.subject.name == "model_1"
    assert missing.reason == "never reported: no part that was merged holds it"


def test_a_part_that_was_cut_short_leaves_the_whole_without_verdict(plan: PlanDocument, make_part: MakePart) -> None:
    paths = [make_part("first", groups(plan, 0, 1)), make_part("second", groups(plan, 2), interrupted=True)]
    whole = merge_files(plan, paths)
    assert (whole.verdict, whole.interrupted) == (None, True)
    assert whole.partial_reason == "second.json was cut short"


def test_what_two_parts_hold_is_refused(plan: PlanDocument, make_part: MakePart) -> None:
    paths = [make_part("first", groups(plan, 0, 1)), make_part("again", groups(plan, 1, 2))]
    with pytest.raises(UsageError, match=r"again\.json: holds model:model_1, which .*first\.json holds too"):
        merge_files(plan, paths)


def test_two_parts_that_call_their_machine_alike_are_refused(plan: PlanDocument, make_part: MakePart) -> None:
    first = make_part("first", groups(plan, 0))
    second = make_part("second", groups(plan, 1, 2), edit=lambda d: d["part"].update(label="first"))
    with pytest.raises(UsageError, match=r"second\.json: has a machine 'first', and so has .*first\.json"):
        merge_files(plan, [first, second])


OTHERS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "commit": (lambda d: d["provenance"].update(commit="1" * 40), "another commit"),
    "uncommitted changes": (lambda d: d["provenance"].update(dirty=True), "another state of the files"),
    "plan": (lambda d: d["part"].update(plan="sha256:" + 64 * "9"), "another plan: 999999999999"),
    "seed": (lambda d: d["provenance"].update(seed=1), "another seed"),
    "profile": (lambda d: d.update(profile="cpu"), "another profile: cpu, and the plan has none"),
    "configuration": (lambda d: d["provenance"].update(config_digest="sha256:9"), "another digest of the config"),
    "toolkit": (lambda d: d["tool"].update(version="0.0.1"), "another toolkit"),
    "a time that is none": (lambda d: d["provenance"].update(started_at="soon"), "started_at: is no time such as"),
    "a time of no calendar": (
        lambda d: d["provenance"].update(finished_at="2026-02-30T00:00:00Z"),
        "finished_at: is no time such as",
    ),
    "no part at all": (lambda d: d.update(part=None), "not a part of a plan"),
    "an unknown group": (lambda d: d["part"].update(groups=["model:model_0", "x"]), "groups that the plan has not"),
    "a group without its results": (
        lambda d: d["part"].update(groups=["model:model_0", "model:model_1"]),
        "holds no result of area.check_0 on model_1",
    ),
    "results of another group": (lambda d: d["part"].update(groups=["model:model_1"]), "which was not asked for"),
    "words of its own for a check": (lambda d: d["checks"][0].update(proves="nothing"), "in other words"),
}


@pytest.mark.parametrize(("edit", "told"), OTHERS.values(), ids=OTHERS.keys())
def test_a_part_of_something_else_is_refused_and_named(
    edit: Callable[[dict[str, Any]], object], told: str, plan: PlanDocument, make_part: MakePart
) -> None:
    paths = [make_part("first", groups(plan, 1, 2)), make_part("other", groups(plan, 0), edit=edit)]
    with pytest.raises(UsageError) as refused:
        merge_files(plan, paths)
    assert str(paths[1]) in str(refused.value)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_result_left_out_is_noticed_where_the_check_has_others(
    plan: PlanDocument, make_part: MakePart, make_report: MakeReport, make_result: MakeResult, tmp_path: Path
) -> None:
    subject = Subject(kind=SubjectKind.MODEL, spec="model_1")
    results = [make_result(check="area.check_0", subject=subject)]
    part = Part(plan=plan.digest, label="short", groups=tuple(groups(plan, 1, 2)))
    report = make_report(results, checks=(plan.by_check["area.check_0"],), part=part, partial_reason="part")
    (tmp_path / "short.json").write_text(report.model_dump_json())
    with pytest.raises(UsageError, match=r"short\.json: holds no result of area\.check_0 on model_2"):
        merge_files(plan, [tmp_path / "short.json"])


def waiver(plan: PlanDocument, group: int, **changes: Any) -> Waiver:
    """Return a waiver of the first check of a group, on its subject."""
    first = next(iter(plan.groups[groups(plan, group)[0]]))
    given = {"check": first.check, "subject": first.subject.name, "owner": "Ada", "reason": "r"}
    return Waiver(**given | {"expires": date(2027, 1, 31)} | changes)


def test_waivers_of_the_parts_are_those_of_the_whole(plan: PlanDocument, make_part: MakePart) -> None:
    declared = [waiver(plan, 0), waiver(plan, 1)]
    failing = declared[0].subject
    first = make_part("first", groups(plan, 0), declared=declared, **{failing: Outcome.FAILED})
    second = make_part("second", groups(plan, 1, 2), declared=declared)
    whole = merge_files(plan, [first, second])
    assert [(row.subject, row.state) for row in whole.waivers] == [
        (failing, "in force"),
        (declared[1].subject, "unused"),
    ]
    assert whole.verdict is Verdict.READY_WITH_WAIVERS
    later = make_part("later", groups(plan, 1, 2), declared=declared, day=date(2027, 2, 1))
    expired = merge_files(plan, [first, later])
    assert (expired.verdict, expired.waivers[0].state) == (Verdict.NOT_READY, "expired")


def test_gates_of_the_parts_are_those_of_the_whole(plan: PlanDocument, make_part: MakePart) -> None:
    gates = Gates(judged=("absent",))
    paths = [make_part(f"part_{n}", groups(plan, *numbers), gates=gates) for n, numbers in enumerate([(0,), (1, 2)])]
    assert [gate.gate for gate in merge_files(plan, paths).missed_gates] == ["judged"]


@pytest.mark.parametrize("kind", ["gates", "waivers"])
def test_parts_under_other_gates_or_waivers_are_refused(plan: PlanDocument, make_part: MakePart, kind: str) -> None:
    other = {"gates": {"gates": Gates(min_score=1)}, "waivers": {"declared": [waiver(plan, 0)]}}[kind]
    paths = [make_part("first", groups(plan, 0)), make_part("second", groups(plan, 1, 2), **other)]
    with pytest.raises(UsageError, match=r"second\.json: other gates or waivers than .*first\.json"):
        merge_files(plan, paths)


def test_the_whole_is_for_the_profile_of_the_plan(
    make_plan: MakePlan, make_report: MakeReport, make_result: MakeResult, tmp_path: Path
) -> None:
    plan = make_plan([(1, 0)], profile="cpu")
    (group,) = plan.groups
    outside = make_result(Outcome.NOT_APPLICABLE, "area.check_0", name="model_0", reason=Profile.CPU.outside(1))
    part = Part(plan=plan.digest, label="all", groups=(group,))

    def merged(profile: Profile | None, *results: Result) -> Report:
        report = make_report(list(results), checks=plan.checks, part=part, partial_reason="part", profile=profile)
        (tmp_path / "part.json").write_text(report.model_dump_json())
        return merge_files(plan, [tmp_path / "part.json"])

    whole = merged(Profile.CPU, outside)
    assert (whole.profile, whole.verdict) == (Profile.CPU, Verdict.INCOMPLETE)
    with pytest.raises(UsageError, match=r"another profile: none, and the plan has cpu"):
        merged(None, make_result(check="area.check_0", name="model_0"))
