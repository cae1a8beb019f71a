import itertools
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from audit import execute
from audit.execute import Execution
from audit.gateway import ProbeFailure, TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged, not_applicable, skipped
from audit.plan import Conclude, Concluded, Group, Plan, PlannedCheck, Run
from audit.repeating import reproduce_command
from audit.results import Check, Comparison, Outcome, Result, Severity, Subject, SubjectKind
from audit.target import Target, available_cores

MakeTarget = Callable[..., Target]
MODEL = Subject(kind=SubjectKind.MODEL, spec="model")
PASS = judged(Measured(value=1, bound=1, comparison=Comparison.EQUAL, origin="one"), otherwise="never")
RAISED = TargetRaised(phase="forward", type_name="ValueError", message="bad shape", frames=(), traceback="")


def planned(
    name: str,
    judge: Callable[[Run], Judgement | Sequence[Judgement]],
    requires: tuple[str, ...] = (),
    subject: Subject = MODEL,
) -> PlannedCheck:
    check = Check(id=name, title=name, proves="p", defect="d", severity=Severity.MAJOR)
    return PlannedCheck(check=check, subject=subject, judge=judge, requires=requires)


def raising(problem: BaseException) -> Callable[[Run], Judgement]:
    def judge(run: Run) -> Judgement:
        raise problem

    return judge


def run_plan(target: Target, *groups: Sequence[PlannedCheck]) -> list[Result]:
    plan: Plan = tuple(Group(subject=group[0].subject, planned=tuple(group)) for group in groups)
    execution = Execution(target, plan)
    execution.run()
    return sorted(execution.results, key=lambda result: result.sort_key)


def concluding(target: Target, conclude: Conclude, *judgements: Judgement) -> Execution:
    checks = tuple(planned(f"area.c{i}", lambda run, j=judgement: j) for i, judgement in enumerate(judgements))
    execution = Execution(target, (Group(subject=MODEL, planned=checks, conclude=conclude),))
    execution.run()
    return execution


def test_the_results_of_a_group_with_a_failure_are_replaced_by_what_concludes_it(make_target: MakeTarget) -> None:
    def conclude(run: Run, results: Sequence[Result]) -> Concluded:
        return [each.model_copy(update={"fix": "seen"}) for each in results], []

    execution = concluding(make_target(), conclude, PASS, failed("wrong"))
    assert [result.fix for result in execution.results] == ["seen", "seen"]


def test_a_group_without_a_failure_is_not_looked_into(make_target: MakeTarget) -> None:
    def conclude(run: Run, results: Sequence[Result]) -> Concluded:
        raise AssertionError("nothing failed")

    execution = concluding(make_target(), conclude, PASS, error("crashed"), skipped("not wanted"))
    assert len(execution.results) == 3


@pytest.mark.parametrize(("problem", "said"), [(ProbeFailure("ended"), ""), (ZeroDivisionError("oops"), "oops")])
def test_what_was_measured_stays_whatever_concluding_it_raises(
    make_target: MakeTarget, problem: Exception, said: str
) -> None:
    def conclude(run: Run, results: Sequence[Result]) -> Concluded:
        raise problem

    execution = concluding(make_target(), conclude, failed("wrong"))
    (result,) = execution.results
    assert result.outcome is Outcome.FAILED
    assert (result.reason or "").startswith("wrong")
    assert said in (result.reason or "")
    assert ("internal error" in (result.reason or "")) == bool(said)


def test_a_judgement_becomes_a_result_with_evidence(make_target: MakeTarget) -> None:
    (result,) = run_plan(make_target(seed=7), [planned("area.first", lambda run: PASS)])
    assert result.outcome is Outcome.PASSED
    assert result.subject == MODEL
    assert (result.evidence.measured, result.evidence.bound, result.evidence.seed) == (1, 1, 7)
    assert result.evidence.duration_s is not None
    assert result.evidence.reproduce == "astrobio-audit area --only area.first --subject model --seed 7"


@pytest.mark.parametrize(
    ("first", "state"),
    [
        (failed("wrong"), "failed"),
        (error("crashed"), "error"),
        (skipped("not wanted"), "skipped"),
        (not_applicable("no cache"), "not applicable"),
    ],
)
def test_what_depends_on_a_check_that_did_not_pass_is_skipped_with_its_state(
    make_target: MakeTarget, first: Judgement, state: str
) -> None:
    results = run_plan(
        make_target(),
        [
            planned("area.first", lambda run: first),
            planned("area.second", lambda run: PASS, requires=("area.first",)),
            planned("area.third", lambda run: PASS, requires=("area.second",)),
        ],
    )
    assert [result.outcome for result in results[1:]] == [Outcome.SKIPPED, Outcome.SKIPPED]
    assert results[1].reason == f"needs area.first to pass on this subject, and that was: {state}"
    assert (
        results[2].reason == f"needs area.second to pass on this subject, which needs area.first, and that was: {state}"
    )


def test_what_depends_on_a_check_that_was_not_run_is_skipped(make_target: MakeTarget) -> None:
    (result,) = run_plan(make_target(), [planned("area.first", lambda run: PASS, requires=("area.zero",))])
    assert (result.outcome, result.reason) == (
        Outcome.SKIPPED,
        "needs area.zero to pass on this subject, and that was: not run",
    )


def test_what_depends_on_a_pass_runs(make_target: MakeTarget) -> None:
    first, second = planned("area.first", lambda run: PASS), planned("area.second", lambda run: PASS, ("area.first",))
    assert [result.outcome for result in run_plan(make_target(), [first, second])] == 2 * [Outcome.PASSED]


def test_one_failure_among_several_judgements_stops_what_depends_on_them(make_target: MakeTarget) -> None:
    results = run_plan(
        make_target(),
        [
            planned("area.first", lambda run: [PASS, failed("one file"), PASS]),
            planned("area.second", lambda run: PASS, requires=("area.first",)),
        ],
    )
    assert [result.outcome for result in results if result.check == "area.second"] == [Outcome.SKIPPED]
    assert sum(result.check == "area.first" for result in results) == 3


@pytest.mark.parametrize("nothing", [[], ()])
def test_a_check_that_returns_nothing_is_an_error(make_target: MakeTarget, nothing: Sequence[Judgement]) -> None:
    (result,) = run_plan(make_target(), [planned("area.first", lambda run: nothing)])
    assert (result.outcome, result.reason) == (Outcome.ERROR, "never reported: the check returned nothing")


def test_a_defect_of_a_check_is_an_error_with_its_traceback_and_the_run_goes_on(make_target: MakeTarget) -> None:
    results = run_plan(
        make_target(),
        [planned("area.first", raising(KeyError("of the check"))), planned("area.second", lambda run: PASS)],
    )
    assert results[0].outcome is Outcome.ERROR
    assert results[0].reason is not None
    assert results[0].reason.startswith("internal error in area.first; please report it:\n")
    assert "test_execute.py" in results[0].reason
    assert "KeyError: 'of the check'" in results[0].reason
    assert results[1].outcome is Outcome.PASSED


def test_a_dishonest_judgement_is_an_error_of_its_check_and_the_run_goes_on(make_target: MakeTarget) -> None:
    # A pass without evidence does not construct as a result; that must not take the other results along.
    dishonest = Judgement(outcome=Outcome.PASSED)
    results = run_plan(
        make_target(), [planned("area.first", lambda run: dishonest), planned("area.second", lambda run: PASS)]
    )
    assert [result.outcome for result in results] == [Outcome.ERROR, Outcome.PASSED]


@pytest.mark.parametrize(
    "wrong",
    [
        Judgement(outcome=Outcome.FAILED),
        failed(" "),
        Judgement(outcome=Outcome.PASSED, measured=Measured(value=2, bound=1, origin="one")),
        judged(Measured(value=float("nan"), bound=1, origin="one"), otherwise=""),
        failed("no number", measured=Measured(value=[1], bound=1, origin="one")),  # type: ignore[arg-type]
        "passed",
    ],
    ids=["no reason", "blank reason", "contradiction", "NaN", "a list", "no judgement"],
)
def test_one_wrong_judgement_does_not_take_its_neighbours_along(make_target: MakeTarget, wrong: Judgement) -> None:
    results = run_plan(make_target(), [planned("area.first", lambda run: [PASS, wrong, failed("a finding")])])
    assert sorted(result.outcome.value for result in results) == ["error", "failed", "passed"]
    (broken,) = (result for result in results if result.outcome is Outcome.ERROR)
    assert broken.reason is not None
    assert broken.reason.startswith("internal error in area.first; please report it:\nTraceback ")
    assert broken.subject == MODEL


@pytest.mark.parametrize("wrong", [None, 3, Outcome.PASSED])
def test_what_is_no_judgement_is_an_error_and_the_run_goes_on(make_target: MakeTarget, wrong: Judgement) -> None:
    results = run_plan(
        make_target(), [planned("area.first", lambda run: wrong), planned("area.second", lambda run: PASS)]
    )
    assert {result.outcome for result in results if result.check == "area.first"} == {Outcome.ERROR}
    assert results[-1].outcome is Outcome.PASSED


def test_a_check_may_yield_its_judgements_and_fail_on_the_way(make_target: MakeTarget) -> None:
    def judge(run: Run) -> Iterator[Judgement]:
        yield PASS
        raise ProbeFailure("timed out")

    (result,) = run_plan(make_target(), [planned("area.first", judge)])  # type: ignore[arg-type]
    assert (result.outcome, result.reason) == (Outcome.ERROR, "timed out")


def test_a_check_cannot_choose_the_exit_code_of_the_run(make_target: MakeTarget) -> None:
    results = run_plan(
        make_target(), [planned("area.first", raising(SystemExit(0))), planned("area.second", lambda run: PASS)]
    )
    assert [result.outcome for result in results] == [Outcome.ERROR, Outcome.PASSED]


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (ProbeFailure("timed out"), "timed out"),
        (ProbeFailure("crashed", output_tail="line\n"), "crashed; last output:\nline\n"),
        (RAISED, "forward raised ValueError: bad shape"),
    ],
)
def test_a_target_that_raises_or_falls_silent_is_an_error(
    make_target: MakeTarget, problem: Exception, reason: str
) -> None:
    (result,) = run_plan(make_target(), [planned("area.first", raising(problem))])
    assert (result.outcome, result.reason) == (Outcome.ERROR, reason)


def test_what_a_check_learned_about_its_subject_carries_over(make_target: MakeTarget) -> None:
    known = MODEL.model_copy(update={"parameters": 12})
    learned = Judgement(outcome=Outcome.PASSED, measured=PASS.measured, subject=known)
    results = run_plan(
        make_target(), [planned("area.first", lambda run: learned), planned("area.second", lambda run: PASS)]
    )
    assert [result.subject.parameters for result in results] == [12, 12]


def test_requirements_do_not_reach_across_subjects(make_target: MakeTarget) -> None:
    other = Subject(kind=SubjectKind.MODEL, spec="other")
    results = run_plan(
        make_target("workers = 2"),
        [planned("area.first", lambda run: failed("wrong")), planned("area.second", lambda run: PASS, ("area.first",))],
        [
            planned("area.first", lambda run: PASS, subject=other),
            planned("area.second", lambda run: PASS, ("area.first",), subject=other),
        ],
    )
    outcomes = {(result.subject.name, result.check): result.outcome.value for result in results}
    assert outcomes == {
        ("model", "area.first"): "failed",
        ("model", "area.second"): "skipped",
        ("other", "area.first"): "passed",
        ("other", "area.second"): "passed",
    }


def test_groups_run_side_by_side(make_target: MakeTarget) -> None:
    together = threading.Barrier(2, timeout=60)

    def meet(run: Run) -> Judgement:
        together.wait()
        return PASS

    other = Subject(kind=SubjectKind.MODEL, spec="other")
    results = run_plan(
        make_target("workers = 2"), [planned("area.first", meet)], [planned("area.first", meet, subject=other)]
    )
    assert [result.outcome for result in results] == 2 * [Outcome.PASSED]


def test_an_interrupted_run_keeps_what_it_measured(make_target: MakeTarget) -> None:
    checks = (
        planned("area.first", lambda run: PASS),
        planned("area.second", raising(KeyboardInterrupt())),
        planned("area.third", lambda run: PASS),
    )
    execution = Execution(make_target(), (Group(subject=MODEL, planned=checks),))
    with pytest.raises(KeyboardInterrupt):
        execution.run()
    assert [result.check for result in execution.results] == ["area.first"]
    assert execution.reported == {checks[0].key}


def test_progress_names_the_subject_and_each_result(make_target: MakeTarget) -> None:
    seen: list[tuple[str, int]] = []
    plan: Plan = (Group(subject=MODEL, planned=(planned("area.first", lambda run: [PASS, failed("no")]),)),)
    Execution(make_target(), plan, notify=lambda name, results: seen.append((name, len(results)))).run()
    assert seen == [("model", 0), ("model", 2)]


@pytest.mark.parametrize("name", ["two words", "it's", "x; rm -rf ~", "$(id)", "a\nb", "`id`", "--quiet", "", "ä|b"])
def test_the_command_that_reproduces_a_result_survives_a_shell(make_target: MakeTarget, name: str) -> None:
    # The name comes from the target, and people paste this command into a shell.
    subject = Subject(kind=SubjectKind.MODEL, spec=name or None, module="zoo")
    command = reproduce_command(make_target(), "area.first", subject, 3)
    words = shlex.split(command, comments=True)
    subjects = [word.removeprefix("--subject=") for word in words if word.startswith("--subject=")]
    subjects += [after for word, after in itertools.pairwise(words) if word == "--subject"]
    assert subjects == [subject.name]
    assert words[-2:] == ["--seed", "3"]
    assert shlex.join(words[:2]) == "astrobio-audit area"


def test_the_command_that_reproduces_a_result_is_one_line(make_target: MakeTarget) -> None:
    subject = Subject(kind=SubjectKind.MODEL, spec="model")
    assert "\n" not in reproduce_command(make_target(), "area.first", subject, 0)


def test_the_command_that_reproduces_a_result_has_the_flags_of_its_check(make_target: MakeTarget) -> None:
    check = Check(id="train.run", title="t", proves="p", defect="d", severity=Severity.MAJOR)
    short = PlannedCheck(check=check, subject=MODEL, judge=lambda run: PASS, flags=("--steps", "40"))
    (result,) = run_plan(make_target(), [short])
    assert result.evidence.reproduce == "astrobio-audit train --steps 40 --only train.run --subject model --seed 0"


def test_what_is_measured_alone_begins_when_the_others_are_done_and_has_all_threads(make_target: MakeTarget) -> None:
    running: set[str] = set()
    seen: dict[str, set[str]] = {}
    threads: dict[str, int] = {}

    def group(name: str, *, alone: bool) -> Group:
        def judge(run: Run) -> Judgement:
            running.add(name)
            time.sleep(0.05)
            seen[name] = running - {name}
            threads[name] = int(str(run.probe._settings["threads"]))
            running.remove(name)
            return PASS

        subject = Subject(kind=SubjectKind.CLAIM, spec=name)
        return Group(subject=subject, planned=(planned("area.c", judge, subject=subject),), alone=alone)

    plan = (group("first", alone=True), group("b", alone=False), group("c", alone=False), group("last", alone=True))
    execution = Execution(make_target("workers = 2"), plan)
    execution.run()
    assert [result.subject.name for result in execution.results][2:] == ["first", "last"]
    assert seen["first"] == seen["last"] == set()
    assert threads["first"] == threads["last"] == available_cores() >= threads["b"]


@pytest.mark.parametrize(
    ("of_target", "installed", "beside", "hides"),
    [
        ("secrets.py", "numpy", "", True),  # of the standard library
        ("tests/", "tests", "", True),
        ("tests/", "tests", "pyproject.toml", False),  # a checkout that is installed to be edited
        ("tests/", "tests", "setup.py torch", True),  # one of torch itself
        ("LICENSE", "LICENSE", "", False),
        ("helpers.py", "numpy", "", False),
    ],
)
def test_processes_import_themselves_where_a_file_has_the_name_of_what_torch_may_import(
    of_target: str, installed: str, beside: str, hides: bool, make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    target = make_target()
    folder = target.root / of_target
    folder.mkdir() if of_target.endswith("/") else folder.write_text("")
    for name in (installed, *beside.split()):
        (tmp_path / "installed" / name).mkdir(parents=True)
    monkeypatch.setattr(execute, "site_folders", lambda python: (tmp_path / "installed",))
    assert execute._hides_modules(target) is hides
