from collections.abc import Callable
from pathlib import Path

from audit.collected import Collected
from audit.judgement import Judgement, Measured, failed, judged
from audit.parts.document import PlanDocument
from audit.parts.kept import KeptOfPlan, kept_of
from audit.parts.making import plan_of
from audit.plan import Group, PlannedCheck, Run
from audit.results import Check, Outcome, Result, Severity, Subject, SubjectKind
from audit.target import Target

CHECK = Check(id="smoke.import", title="t", proves="p", defect="d", severity=Severity.CRITICAL)
PACKAGE = Subject(kind=SubjectKind.PACKAGE, module="zoo")


def never(run: Run) -> Judgement:
    raise AssertionError("nothing is carried out here")


def group(*names: str) -> Group:
    """Return a group on the package, with one check on each of several modules."""
    subjects = [Subject(kind=SubjectKind.MODULE, module=name) for name in names]
    planned = tuple(PlannedCheck(check=CHECK, subject=subject, judge=never) for subject in subjects)
    return Group(subject=PACKAGE, planned=planned)


def results(of: Group) -> list[list[Result]]:
    passed = judged(Measured(value=0, bound=0, origin="counted"), otherwise="")
    judgements = [passed, failed("it is wrong")]
    return [
        [judgement.result(CHECK, planned.subject, seed=0, duration_s=0.0, reproduce="")]
        for planned, judgement in zip(of.planned, judgements, strict=True)
    ]


def document(target: Target, *groups: Group) -> PlanDocument:
    def plan(collected: Collected) -> tuple[Group, ...]:
        return groups

    return plan_of(target, [plan], command="smoke", release=False)


def test_groups_of_one_subject_and_checks_of_one_name_are_kept_apart(
    committed: Callable[..., Target], tmp_path: Path
) -> None:
    target = committed()
    first, second = group("a", "b"), group("c", "d")
    kept = KeptOfPlan(target, "content", document(target, first, second), folder=tmp_path)
    kept.keep(first, results(first))
    assert kept.of(second) is None
    known = kept.of(first)
    assert known is not None
    assert [[each.outcome for each in some] for some in known.results] == [[Outcome.PASSED], [Outcome.FAILED]]
    assert [some[0].subject.name for some in known.results] == ["a", "b"]
    other = KeptOfPlan(target, "content", document(target, second, first), folder=tmp_path)
    assert other.of(first) is None  # what holds for one plan holds for no other


def test_nothing_is_kept_of_a_checkout_that_differs_from_its_commit(committed: Callable[..., Target]) -> None:
    target = committed()
    assert kept_of(target, "content", document(target, group("a"))) is not None
    (target.root / "data.txt").write_text("what a check may read")
    assert kept_of(target, "content", document(target, group("a"))) is None
