"""A SIGKILL at any point of the writing of a checkpoint costs the target's command one interval at most."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.replies import names_of
from audit.results import Check, Severity
from validation.training.checks import command_resumes
from validation.training.resumed import account_of
from validation.training.trainee import Reference, Trainee, command_run_of

CHECK = Check(
    id="train.command_killed",
    title="A kill while a checkpoint is written costs one interval at most",
    proves="Killed with SIGKILL right behind operations on the files of a checkpoint (opened, renamed, removed), and "
    "at random points between the last step before a checkpoint and the end of the step behind it, the command resumes "
    "each time, with the weights of the uninterrupted run, from a step no further back than the checkpoint before.",
    defect="a trainer that writes its checkpoint in the place of the last one",
    severity=Severity.CRITICAL,
)
REQUIRES = (command_resumes.CHECK.id,)
_MOST_NAME = 200  # characters of what an operation was done to
_FIX = "write a checkpoint aside, sync it, rename it into its place, and remove older ones only then"


@dataclass
class _Kills:
    """What kills have cost so far, in steps that lie before the newest checkpoint, and how many may tell something."""

    every: int
    number: int = 0
    telling: int = 0
    worst: int = 0

    def add(self, done: int, begun: int, *, tells: bool) -> None:
        newest = done // self.every * self.every
        self.number += 1
        self.telling += tells or begun < newest
        self.worst = max(self.worst, newest - begun)


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Kill, resume, and kill again."""
    reference = trainee.reference
    assert reference is not None
    kills = _Kills(reference.every)
    most = trainee.settings.kills // 2
    run.tell("killing it behind operations on files")
    reply = trainee.call_command(run, "train_command_killed_at_operations", forks=reference.forks, most=most)
    if problem := _at_operations(reference, reply, kills):
        return problem
    at_operations, operations = kills.number, len(names_of(reply, "operations"))
    step_s, write_s = _times(reference, reference.every)
    run.tell(f"killing it {trainee.settings.kills - at_operations} times")
    reply = trainee.call_command(
        run,
        "train_command_killed",
        forks=reference.forks,
        reference=list[Plain](reference.run.checksums),
        write_s=write_s,
        step_s=step_s,
        kills=trainee.settings.kills - at_operations,
    )
    if problem := _at_random(reference, reply, kills):
        return problem
    if not kills.telling:
        return error(
            f"none of {kills.number} kills came before the checkpoint was complete, so nothing was tried",
            fix="raise --kills",
        )
    said = (
        f"{at_operations} kills right behind operations on its files, of {operations} that were seen, and "
        f"{kills.number - at_operations} at points drawn with seed {run.seed} within "
        f"{1000 * (write_s + step_s):.3g} ms behind the step before a checkpoint, {kills.telling - at_operations} of "
        "them before it was complete"
    )
    return judged(_measured(reference, kills, said), otherwise="", fix=_FIX)


def _at_operations(reference: Reference, reply: Mapping[str, Plain], kills: _Kills) -> Judgement | None:
    """Add the kills behind operations on files; return what is wrong with one of them, or None."""
    tried = reply.get("tried")
    if not isinstance(tried, list):
        raise ProbeFailure("the target's process sent no account of its runs")
    for each in tried:
        if not isinstance(each, dict):
            raise ProbeFailure("the target's process sent a malformed account of a run")
        stopped, resumed = command_run_of(each.get("stopped")), command_run_of(each.get("resumed"))
        done = len(stopped.checksums)
        where = f"killed behind step {done}, right after {str(each.get('name'))[:_MOST_NAME]}"
        account = account_of(reference, resumed, near=done // reference.every * reference.every)
        if account.problem is not None:
            return failed(f"{where}, and resumed: {account.problem}", fix=_FIX)
        kills.add(done, account.begun, tells=True)
        if kills.worst > reference.every:
            return _too_far(reference, kills, where)
    return None


def _too_far(reference: Reference, kills: _Kills, where: str) -> Judgement:
    return failed(
        f"{where}, it resumed {kills.worst} steps before the newest checkpoint",
        measured=_measured(reference, kills, "the checkpoint before the newest is there until the newest is complete"),
        fix=_FIX,
    )


def _at_random(reference: Reference, reply: Mapping[str, Plain], kills: _Kills) -> Judgement | None:
    """Add the kills at random points; return what is wrong with one of them, or None."""
    runs = reply.get("runs")
    if not isinstance(runs, list) or not runs:
        raise ProbeFailure("the target's process sent no account of its runs")
    every, done = reference.every, 0
    for described in runs:
        if not isinstance(described, dict):
            raise ProbeFailure("the target's process sent a malformed account of a run")
        if described.get("fresh"):
            done = 0
        account = account_of(reference, command_run_of(described), near=done // every * every)
        if account.problem is not None:
            if described.get("fresh"):
                return error(f"a run that was begun anew did not get to its first checkpoint: {account.problem}")
            return failed(f"killed behind step {done} and resumed: {account.problem}", fix=_FIX)
        if not described.get("fresh"):
            kills.add(done, account.begun, tells=False)
            if kills.worst > every:
                return _too_far(reference, kills, f"killed behind step {done}")
        done = account.done
    return None


def _measured(reference: Reference, kills: _Kills, origin: str) -> Measured:
    return Measured(
        value=kills.worst,
        bound=reference.every,
        origin=f"checkpoints are {reference.every} steps apart; {origin}",
        unit="steps lost at most",
    )


def _times(reference: Reference, every: int) -> tuple[float, float]:
    """Return how long a step takes, and how much longer one behind a checkpoint."""
    times = reference.run.times
    gaps = [(step, later - earlier) for step, (earlier, later) in enumerate(pairwise(times), 1)]
    usual = median(gap for step, gap in gaps if step % every)
    with_checkpoint = median(gap for step, gap in gaps if step % every == 0)
    return usual, max(with_checkpoint - usual, 0.0)
