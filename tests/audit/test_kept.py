"""What earlier runs have found stands in for a group where the group says so, and for one that leaves something out."""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from audit.execute import Execution
from audit.judgement import Judgement, Measured, judged, skipped
from audit.kept import KeptResults, digest_of_neighbours
from audit.plan import Concluded, Group, PlannedCheck, Run
from audit.report.document import Report, defects_contradict
from audit.report.earlier import earlier_lines
from audit.results import Check, Comparison, Defect, Explained, Result, Severity, Subject, SubjectKind
from audit.session import Request
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
        return [result.outcome.value for result in self.results(group)]

    def results(self, group: Group) -> list[Result]:
        kept = KeptResults(self._target, "content", folder=self._folder)
        execution = Execution(self._target, (group,), kept=kept)
        execution.run()
        return execution.results


def test_what_no_profile_asked_for_counts_within_one_that_leaves_something_out(
    make_target: Callable[..., Target], tmp_path: Path
) -> None:
    counted = Counted(tmp_path, make_target())
    whole = counted.group()
    (first,) = whole.planned
    second = replace(first, check=first.check.model_copy(update={"id": "train.gpus"}))
    whole = replace(whole, planned=(first, second))
    outside = replace(whole, planned=(first, replace(second, outside="outside the profile cpu: needs 2 GPUs")))
    assert counted.outcomes(whole) == ["passed", "passed"]
    assert counted.outcomes(outside) == ["passed", "not_applicable"]
    assert counted.times == 2
    (_, told) = counted.results(outside)
    assert told.reason == "outside the profile cpu: needs 2 GPUs"
    in_part = replace(outside, whole=outside, planned=(replace(first, flags=("--steps", "40")), outside.planned[1]))
    assert counted.outcomes(in_part) == ["passed", "not_applicable"]
    assert counted.times == 2
    on_a_gpu = replace(outside, planned=(replace(first, gpus=1), outside.planned[1]))
    counted.outcomes(on_a_gpu)
    assert counted.times == 3  # what needs a GPU may be found otherwise where there is one


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


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, "-C", str(root), *words], check=True, capture_output=True, text=True).stdout


def test_what_is_taken_over_names_the_commit_at_which_it_was_measured(
    make_target: Callable[..., Target], make_report: Callable[..., Report], tmp_path: Path
) -> None:
    target = make_target()
    counted = Counted(tmp_path, target)
    git(target.root, "init", "-q")
    git(target.root, "add", "-A")
    git(target.root, "commit", "-q", "-m", "first")
    first = git(target.root, "rev-parse", "HEAD").strip()
    (new,) = counted.results(counted.group())
    assert (new.evidence.measured_at, new.evidence.measured_commit) == (None, None)
    (target.root / "NOTES").write_text("no file of the package\n")
    git(target.root, "add", "-A")
    git(target.root, "commit", "-q", "-m", "second")
    (old,) = counted.results(counted.group())
    assert (counted.times, old.evidence.measured_commit) == (1, first)
    (line,) = earlier_lines(make_report([old]))
    assert line.startswith(
        f"1 result of 1 was measured at {old.evidence.measured_at}, at commit {first[:12]}, by earlier runs on "
    )
    (target.root / "NOTES").write_text("changed\n")
    counted.results(counted.group(area="smoke"))
    (dirty,) = counted.results(counted.group(area="smoke"))
    second = git(target.root, "rev-parse", "HEAD").strip()
    assert dirty.evidence.measured_commit == f"{second}-dirty"
    (line,) = earlier_lines(make_report([dirty]))
    assert f", at commit {second[:12]} with uncommitted changes, by earlier runs on " in line


def test_outside_of_a_repository_no_commit_is_named(
    make_target: Callable[..., Target], make_report: Callable[..., Report], tmp_path: Path
) -> None:
    counted = Counted(tmp_path, make_target())
    counted.results(counted.group())
    (old,) = counted.results(counted.group())
    assert (old.evidence.measured_at is None, old.evidence.measured_commit) == (False, None)
    (line,) = earlier_lines(make_report([old]))
    assert "commit" not in line


FAIL = judged(Measured(value=2, bound=1, comparison=Comparison.EQUAL, origin="one"), otherwise="two")


def _concluded(run: Run, results: Sequence[Result]) -> Concluded:
    checks = tuple(result.check for result in results)
    defect = Defect(
        id="d", bug=None, title="t", subject=MODEL, checks=checks, explanation="e", why="w", fix="f", unreproduced="u"
    )
    return [each.model_copy(update={"defect": Explained(id="d", how="expected")}) for each in results], [defect]


def test_of_a_defect_of_two_checks_one_is_left_where_one_is_asked_for(
    make_target: Callable[..., Target], tmp_path: Path
) -> None:
    checks = [
        Check(id=f"train.{name}", title="t", proves="p", defect="d", severity=Severity.MAJOR) for name in ("one", "two")
    ]
    planned = tuple(PlannedCheck(check=check, subject=MODEL, judge=lambda run: FAIL) for check in checks)
    whole = Group(subject=MODEL, planned=planned, conclude=_concluded, is_kept=True)
    target = make_target()
    for group, left in ((whole, ["train.one", "train.two"]), (replace(whole, planned=planned[1:]), ["train.two"])):
        execution = Execution(target, (group,), kept=KeptResults(target, "content", folder=tmp_path))
        execution.run()
        assert [defect.checks for defect in execution.defects] == [tuple(left)]
        assert defects_contradict(execution.defects, execution.results) is None
    assert all(result.evidence.measured_at for result in execution.results)


def test_what_the_command_of_a_result_names_is_measured_again() -> None:
    request = Request(command="attention", planners=(), cache=True, keeps_results=True)
    assert request.takes_over
    assert replace(request, only=["attention.scale"]).takes_over
    assert not replace(request, only=["attention.scale"], subjects=["core"]).takes_over
    assert not replace(request, cache=False).takes_over


LOGIN = {
    "SSH_CONNECTION": "10.0.0.2 51234 10.0.0.1 22", "SSH_CLIENT": "10.0.0.2 51234 22", "SSH_TTY": "/dev/pts/3",
    "SSH_AUTH_SOCK": "/tmp/ssh-XXaB12/agent.77", "XDG_SESSION_ID": "31", "TERM_PROGRAM": "vscode",
    "TERM_PROGRAM_VERSION": "1.99", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus,guid=ab",
    "VSCODE_IPC_HOOK_CLI": "/run/user/1000/vscode-ipc-1.sock", "GITHUB_RUN_ID": "1234", "GITHUB_SHA": "a" * 40,
}  # fmt: skip


def test_another_login_or_run_of_ci_has_nothing_measured_anew(
    make_target: Callable[..., Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*LOGIN, "DISPLAY", "ZOO_SIZE"):
        monkeypatch.delenv(name, raising=False)
    target = make_target()  # the one place: its path counts too

    def times() -> int:
        counted = Counted(tmp_path, target)
        counted.outcomes(counted.group())
        return counted.times

    assert [times(), times()] == [1, 0]
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    assert times() == 0
    monkeypatch.setenv("DISPLAY", "localhost:10.0")
    assert times() == 1  # what was not there may decide how a library draws
    monkeypatch.setenv("DISPLAY", "localhost:11.0")
    assert times() == 0
    monkeypatch.setenv("ZOO_SIZE", "large")
    assert times() == 1


def test_a_pipe_among_the_files_is_not_waited_for(make_target: Callable[..., Target], tmp_path: Path) -> None:
    target = make_target()
    before = digest_of_neighbours(target)
    os.mkfifo(target.source / "pipe.py")  # its read would end when somebody writes to it
    assert digest_of_neighbours(target) == before
    (target.source / "more.py").touch()
    assert digest_of_neighbours(target) != before
