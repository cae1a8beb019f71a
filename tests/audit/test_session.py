from collections.abc import Callable
from pathlib import Path

import pytest

from audit.collected import Collected
from audit.errors import UsageError
from audit.judgement import Judgement, Measured, failed, judged
from audit.plan import Group, Plan, PlannedCheck, Run
from audit.report.document import Report
from audit.results import Check, Outcome, Severity, Subject, SubjectKind
from audit.score import Verdict
from audit.session import STOPPED, Planner, Request, conduct
from audit.target import Target

MakeTarget = Callable[..., Target]
PASS = judged(Measured(value=0, bound=0, origin="counted"), otherwise="never")


def planner(**judges: Callable[[Run], Judgement]) -> Planner:
    """Plans `area.<name>` for each judge, on one subject each."""

    def plan(collected: Collected) -> Plan:
        groups = []
        for name, judge in judges.items():
            check = Check(id=f"area.{name}", title=name, proves="p", defect="d", severity=Severity.CRITICAL)
            subject = Subject(kind=SubjectKind.MODEL, spec=f"{name}_model")
            groups.append(Group(subject=subject, planned=(PlannedCheck(check=check, subject=subject, judge=judge),)))
        return tuple(groups)

    return plan


def passing(run: Run) -> Judgement:
    return PASS


def stopping(run: Run) -> Judgement:
    raise KeyboardInterrupt


def request(*planners: Planner, **changes: object) -> Request:
    return Request(**{"command": "area", "planners": planners, "release": True} | changes)  # type: ignore[arg-type]


def outcomes(report: Report) -> dict[str, tuple[str, str | None]]:
    return {result.check: (result.outcome.value, result.reason) for result in report.results}


def test_a_whole_run_has_a_verdict(make_target: MakeTarget) -> None:
    report = conduct(make_target(), request(planner(first=passing, second=passing)))
    assert (report.verdict, report.partial, report.exit_code) == (Verdict.READY, False, 0)
    assert {check.id for check in report.checks} == {"area.first", "area.second"}


def test_planners_add_up(make_target: MakeTarget) -> None:
    report = conduct(make_target(), request(planner(first=passing), planner(second=lambda run: failed("wrong"))))
    assert outcomes(report) == {"area.first": ("passed", None), "area.second": ("failed", "wrong")}
    assert report.verdict is Verdict.NOT_READY


def test_a_planned_check_without_result_is_an_error(make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    # An execution that loses a group: the plan, and not the run, says what should exist.
    def forgetful(self: object) -> None:
        return

    monkeypatch.setattr("audit.execute.Execution.run", forgetful)
    report = conduct(make_target(), request(planner(first=passing, second=passing)))
    assert [result.outcome for result in report.results] == 2 * [Outcome.ERROR]
    assert {result.reason for result in report.results} == {"never reported: the run ended without a result for it"}
    assert report.verdict is Verdict.INCOMPLETE
    assert report.exit_code == 3


def test_a_run_that_is_stopped_gives_no_verdict_and_says_what_is_missing(make_target: MakeTarget) -> None:
    report = conduct(make_target("workers = 1"), request(planner(first=passing, second=stopping, third=passing)))
    assert (report.verdict, report.partial, report.interrupted) == (None, True, True)
    assert report.partial_reason == STOPPED
    assert report.exit_code == 3
    missing = ("error", f"never reported: {STOPPED}")
    assert outcomes(report)["area.second"] == missing
    assert set(outcomes(report)) == {"area.first", "area.second", "area.third"}
    assert all(outcome in (("passed", None), missing) for outcome in outcomes(report).values())


def test_a_run_stopped_while_planning_reports_nothing_and_is_incomplete(make_target: MakeTarget) -> None:
    def stopped(collected: Collected) -> Plan:
        raise KeyboardInterrupt

    report = conduct(make_target(), request(stopped))
    assert (report.verdict, report.partial, report.results, report.exit_code) == (None, True, (), 3)


def test_a_stopped_run_with_a_failure_still_exits_by_the_failure(make_target: MakeTarget) -> None:
    report = conduct(make_target("workers = 1"), request(planner(first=lambda run: failed("wrong"), second=stopping)))
    assert report.verdict is None
    assert report.exit_code in (1, 3)
    assert outcomes(report)["area.first"] == ("failed", "wrong")


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"only": ("area.first",)}, "limited to --only area.first"),
        ({"subjects": ("first_model",)}, "limited to --subject first_model"),
        (
            {"only": ("area.first",), "subjects": ("first_model",)},
            "limited to --only area.first --subject first_model",
        ),
    ],
)
def test_a_filtered_run_is_partial_and_says_by_what(
    make_target: MakeTarget, filters: dict[str, tuple[str, ...]], reason: str
) -> None:
    report = conduct(make_target(), request(planner(first=passing, second=passing), **filters))
    assert (report.verdict, report.partial_reason, report.interrupted) == (None, reason, False)
    assert [result.check for result in report.results] == ["area.first"]
    assert report.exit_code == 3


def test_a_filtered_run_of_an_area_exits_by_what_it_found(make_target: MakeTarget) -> None:
    both = planner(first=passing, second=lambda run: failed("wrong"))
    codes = {
        name: conduct(make_target(), request(both, release=False, only=(f"area.{name}",))).exit_code
        for name in ("first", "second")
    }
    assert codes == {"first": 0, "second": 1}


def test_a_filter_that_names_everything_is_a_whole_run(make_target: MakeTarget) -> None:
    report = conduct(make_target(), request(planner(first=passing), only=("area",)))
    assert (report.verdict, report.partial) == (Verdict.READY, False)


@pytest.mark.parametrize("filters", [{"only": ("area.fist",)}, {"subjects": ("nobody",)}])
def test_a_filter_that_selects_nothing_is_a_usage_error(
    make_target: MakeTarget, filters: dict[str, tuple[str, ...]]
) -> None:
    with pytest.raises(UsageError, match="no such"):
        conduct(make_target(), request(planner(first=passing), **filters))


def test_a_plan_without_checks_is_a_usage_error(make_target: MakeTarget) -> None:
    with pytest.raises(UsageError, match="nothing to check"):
        conduct(make_target(), request(lambda collected: ()))


def test_results_are_bound_to_the_target_and_its_settings(make_target: MakeTarget) -> None:
    first = conduct(make_target(), request(planner(first=passing), needs_inventory=True)).provenance
    again = conduct(make_target(), request(planner(first=passing))).provenance
    changed = conduct(make_target("timeout_s = 5"), request(planner(first=passing))).provenance
    assert first.package == "zoo"
    assert first.config_digest == again.config_digest != changed.config_digest
    assert (first.commit, first.dirty) == (None, None)


def test_reports_of_equal_runs_are_equal_apart_from_times(make_target: MakeTarget) -> None:
    def timeless(report: Report) -> str:
        results = tuple(
            result.model_copy(update={"evidence": result.evidence.model_copy(update={"duration_s": 0})})
            for result in report.results
        )
        provenance = report.provenance.model_copy(update={"started_at": "", "finished_at": ""})
        return report.model_copy(update={"results": results, "provenance": provenance}).model_dump_json()

    names = ("d", "b", "a", "c", "e")
    target = make_target("workers = 4")
    forwards = conduct(target, request(planner(**dict.fromkeys(names, passing))))
    backwards = conduct(target, request(planner(**dict.fromkeys(reversed(names), passing))))
    assert timeless(forwards) == timeless(backwards)


def test_the_inventory_is_rooted_in_the_target(tmp_path: Path) -> None:
    package = tmp_path / "src" / "zoo"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from torch import nn\n\nclass Model(nn.Module):\n    pass\n")
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\n')

    def static(collected: Collected) -> Plan:
        assert collected.analysis.files
        return planner(first=passing)(collected)

    report = conduct(Target.load(tmp_path), request(static, needs_inventory=True))
    assert [(item.path, item.qualname) for item in report.inventory] == [("src/zoo/__init__.py", "Model")]
    assert report.provenance.package_digest is not None


def test_a_gate_that_is_missed_changes_the_verdict_of_a_release_and_of_nothing_else(make_target: MakeTarget) -> None:
    target = make_target("[tool.astrobio-audit.gates]\njudged = ['other']")
    report = conduct(target, request(planner(first=passing)))
    assert (report.verdict, report.exit_code) == (Verdict.INCOMPLETE, 3)
    assert [gate.says for gate in report.missed_gates] == ["area other has no result in this report"]
    area = conduct(target, request(planner(first=passing), release=False))
    assert (area.verdict, area.exit_code, area.missed_gates) == (Verdict.CLEAN, 0, ())


def test_a_partial_run_misses_no_gate_and_tells_of_the_waivers_in_it_alone(make_target: MakeTarget) -> None:
    row = "subject = 'first_model'\nowner = 'Ada'\nreason = 'r'\nexpires = 9999-12-31\n"
    table = "[tool.astrobio-audit.gates]\nmin_score = 1\n" + "".join(
        f"[[tool.astrobio-audit.waivers]]\ncheck = 'area.{name}'\n{row}" for name in ("first", "third")
    )
    planned = planner(first=lambda run: failed("wrong"), second=passing)
    whole = conduct(make_target(table), request(planned))
    assert [row.state for row in whole.waivers] == ["in force", "unused"]
    assert (whole.verdict, [gate.gate for gate in whole.missed_gates]) == (Verdict.NOT_READY, ["min_score"])
    part = conduct(make_target(table), request(planned, only=("area.first",)))
    assert [row.check for row in part.waivers] == ["area.first"]
    assert (part.verdict, part.missed_gates, part.exit_code) == (None, (), 3)
