"""What earlier runs have found stands in for a group where the group says so, and for one that leaves something out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from audit.execute import Execution
from audit.judgement import Judgement, Measured, judged, skipped
from audit.kept import KeptResults
from audit.plan import Group, PlannedCheck, Run
from audit.results import Check, Comparison, Severity, Subject, SubjectKind
from audit.target import Target

MODEL = Subject(kind=SubjectKind.MODEL, spec="model")
PASS = judged(Measured(value=1, bound=1, comparison=Comparison.EQUAL, origin="one"), otherwise="never")


class Counted:
    """Groups of one check on one model, and how often it was carried out."""

    def __init__(self, folder: Path, target: Target) -> None:
        self.times = 0
        self._target = target
        self._folder = folder

    def group(self, judgement: Judgement = PASS, *, area: str = "train", flags: tuple[str, ...] = ()) -> Group:
        def judge(run: Run) -> Judgement:
            self.times += 1
            return judgement

        check = Check(id=f"{area}.run", title="t", proves="p", defect="d", severity=Severity.MAJOR)
        planned = PlannedCheck(check=check, subject=MODEL, judge=judge, flags=flags)
        return Group(subject=MODEL, planned=(planned,), is_kept=True)

    def outcomes(self, group: Group) -> list[str]:
        kept = KeptResults(self._target, "content", folder=self._folder)
        execution = Execution(self._target, (group,), kept=kept)
        execution.run()
        return [result.outcome.value for result in execution.results]


def test_only_a_group_that_is_kept_is_taken_over(make_target: Callable[..., Target], tmp_path: Path) -> None:
    counted = Counted(tmp_path, make_target())
    kept = counted.group()
    for _ in range(2):
        counted.outcomes(kept)
    assert counted.times == 1
    for _ in range(2):
        counted.outcomes(replace(kept, is_kept=False))
    assert counted.times == 3


def test_what_is_known_of_the_whole_counts_where_a_part_is_left_out(
    make_target: Callable[..., Target], tmp_path: Path
) -> None:
    counted = Counted(tmp_path, make_target())
    whole = counted.group()
    brief = replace(counted.group(skipped("not run: slow")), whole=whole)
    assert counted.outcomes(brief) == ["skipped"]
    assert counted.outcomes(whole) == ["passed"]
    assert counted.outcomes(brief) == ["passed"]
    assert counted.times == 2


def test_two_areas_do_not_take_each_others_place_for_one_model(
    make_target: Callable[..., Target], tmp_path: Path
) -> None:
    counted = Counted(tmp_path, make_target())
    groups = [counted.group(), counted.group(area="smoke")]
    for group in groups * 2:
        assert counted.outcomes(group) == ["passed"]
    assert counted.times == 2
