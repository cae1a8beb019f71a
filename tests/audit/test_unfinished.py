"""What a run has found that was stopped counts for the run that takes it up again, and for no other."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from audit.execute import Execution
from audit.judgement import Judgement, Measured, error, judged
from audit.kept import KeptResults
from audit.plan import Group, PlannedCheck, Run, resumed
from audit.results import Check, Comparison, Result, Severity, Subject, SubjectKind
from audit.target import Target
from audit.unfinished import Unfinished

MODEL = Subject(kind=SubjectKind.MODEL, spec="model")
PASS = judged(Measured(value=1, bound=1, comparison=Comparison.EQUAL, origin="one"), otherwise="never")


class Stopped:
    """Three groups of one subject, each counting how often it is carried out; a run can be stopped in one of them."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target, self.folder = target, folder
        self.times = dict.fromkeys(("first", "second", "third"), 0)
        self.stopped_in: tuple[str, ...] = ()
        self.judgements: dict[str, Judgement] = {}

    def groups(self) -> Iterator[Group]:
        for name in self.times:

            def judge(run: Run, name: str = name) -> Judgement:
                self.times[name] += 1
                if name in self.stopped_in:
                    raise KeyboardInterrupt
                return self.judgements.get(name, PASS)

            check = Check(id=f"smoke.{name}", title="t", proves="p", defect="d", severity=Severity.MAJOR)
            yield Group(subject=MODEL, planned=(PlannedCheck(check=check, subject=MODEL, judge=judge),))

    def run(self, *stopped_in: str, fail_fast: bool = False) -> Sequence[Result]:
        self.stopped_in = stopped_in
        kept = KeptResults(self.target, "content", folder=self.folder)
        execution = Execution(self.target, resumed(self.groups()), kept=kept, fail_fast=fail_fast)
        try:
            execution.run()
        except KeyboardInterrupt:
            assert stopped_in
        return execution.results


@pytest.fixture
def stopped(make_target: Callable[..., Target], tmp_path: Path) -> Stopped:
    return Stopped(make_target(workers=1), tmp_path / "cache")


def test_a_run_that_was_stopped_goes_on_where_it_was_and_the_next_begins_anew(stopped: Stopped) -> None:
    stopped.run("third")
    second = stopped.run()
    assert stopped.times == {"first": 1, "second": 1, "third": 2}
    assert {each.check: each.evidence.measured_at is not None for each in second} == {
        "smoke.first": True,
        "smoke.second": True,
        "smoke.third": False,
    }
    assert [each.evidence.measured_at for each in stopped.run()] == [None] * 3
    assert stopped.times == {"first": 2, "second": 2, "third": 3}


def test_of_a_run_that_came_to_its_end_nothing_is_left(stopped: Stopped) -> None:
    stopped.run()
    assert not [path for path in (stopped.folder / "unfinished-1").iterdir() if path.is_file()]


def test_one_that_is_stopped_twice_goes_on_from_both(stopped: Stopped) -> None:
    stopped.run("second", "third")
    stopped.run("third")
    stopped.run()
    assert stopped.times["first"] == 1


def test_what_an_error_left_open_is_tried_again(stopped: Stopped) -> None:
    stopped.judgements["first"] = error("no memory")
    stopped.run("second", "third")
    stopped.run()
    assert stopped.times["first"] == 2


def test_after_the_first_failure_the_next_run_need_not_repeat_what_passed(stopped: Stopped) -> None:
    wrong = judged(Measured(value=2, bound=1, comparison=Comparison.EQUAL, origin="one"), otherwise="two")
    stopped.judgements["second"] = wrong
    stopped.run(fail_fast=True)
    stopped.run()
    assert stopped.times == {"first": 1, "second": 2, "third": 1}


def test_what_a_run_finds_is_not_known_to_one_beside_it(stopped: Stopped) -> None:
    (first, *_) = resumed(stopped.groups())
    running = KeptResults(stopped.target, "content", folder=stopped.folder)
    result = PASS.result(first.planned[0].check, MODEL, seed=0, duration_s=1.0, reproduce="again")
    running.keep(first, [[result]])
    beside = KeptResults(stopped.target, "content", folder=stopped.folder)
    assert beside.of(first) is None
    running.close()
    known = beside.of(first)
    assert known is not None
    assert [each.check for each in known.results[0]] == ["smoke.first"]


@pytest.mark.parametrize("edited", ["before", "after"])
def test_a_file_that_was_read_and_changed_has_it_measured_anew(stopped: Stopped, tmp_path: Path, edited: str) -> None:
    weights = stopped.target.root / "weights.bin"
    weights.write_bytes(b"one")
    (first, *_) = resumed(stopped.groups())
    running = KeptResults(stopped.target, "content", folder=stopped.folder)
    result = PASS.result(first.planned[0].check, MODEL, seed=0, duration_s=1.0, reproduce="again")
    begun = weights.stat().st_mtime + (-1.0 if edited == "before" else 1.0)  # while it ran, or not
    running.keep(first, [[result]], read=[str(weights)], begun=begun)
    running.close()
    if edited == "after":
        assert KeptResults(stopped.target, "content", folder=stopped.folder).of(first) is not None
        weights.write_bytes(b"two")
    assert KeptResults(stopped.target, "content", folder=stopped.folder).of(first) is None


def test_what_the_run_wrote_aside_itself_does_not_matter(
    stopped: Stopped, tmp_path_factory: pytest.TempPathFactory
) -> None:
    aside = tmp_path_factory.mktemp("compiled") / "kernel.so"
    aside.write_bytes(b"new each time")
    (first, *_) = resumed(stopped.groups())
    running = KeptResults(stopped.target, "content", folder=stopped.folder)
    result = PASS.result(first.planned[0].check, MODEL, seed=0, duration_s=1.0, reproduce="again")
    running.keep(first, [[result]], read=[str(aside)], begun=0.0)
    running.close()
    assert KeptResults(stopped.target, "content", folder=stopped.folder).of(first) is not None


def test_locks_of_runs_that_are_over_are_swept(tmp_path: Path) -> None:
    alive, gone = Unfinished(tmp_path), Unfinished(tmp_path)
    lock = tmp_path / f"{gone.run}.run"
    gone.end()
    lock.touch()  # as a kill leaves it
    alive.tidy()
    assert [path.name for path in tmp_path.iterdir()] == [f"{alive.run}.run"]


def test_where_no_folder_can_be_made_nothing_is_taken_up(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unfinished = Unfinished(tmp_path / "file" / "folder")
    assert not unfinished.is_usable
    assert not unfinished.is_over("another")
    unfinished.end()
