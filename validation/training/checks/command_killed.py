"""A SIGKILL at any point of the writing of a checkpoint costs the target's command one interval at most."""

from itertools import pairwise
from statistics import median

from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.results import Check, Severity
from validation.training.checks import command_resumes
from validation.training.resumed import account_of
from validation.training.trainee import Reference, Trainee, command_run_of

CHECK = Check(
    id="train.command_killed",
    title="A kill while a checkpoint is written costs one interval at most",
    proves="Killed with SIGKILL at random points between the last step before a checkpoint and the end of the step "
    "behind it, many times, the command resumes each time, with the weights of the uninterrupted run, from a step no "
    "further back than the checkpoint before.",
    defect="a trainer that writes its checkpoint in the place of the last one",
    severity=Severity.CRITICAL,
)
REQUIRES = (command_resumes.CHECK.id,)
_FIX = "write a checkpoint aside, sync it, rename it into its place, and remove older ones only then"


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Kill, resume, and kill again."""
    reference = trainee.reference
    assert reference is not None
    every = reference.every
    step_s, write_s = _times(reference, every)
    run.tell(f"killing it {trainee.settings.kills} times")
    reply = trainee.call_command(
        run,
        "train_command_killed",
        forks=reference.forks,
        reference=list[Plain](reference.run.checksums),
        write_s=write_s,
        step_s=step_s,
        kills=trainee.settings.kills,
    )
    runs = reply.get("runs")
    if not isinstance(runs, list) or not runs:
        raise ProbeFailure("the target's process sent no account of its runs")
    kills = before = worst = done = 0
    for described in runs:
        if not isinstance(described, dict):
            raise ProbeFailure("the target's process sent a malformed account of a run")
        if described.get("fresh"):
            done = 0
        account = account_of(reference, command_run_of(described), near=done // every * every)
        if account.problem is not None:
            if described.get("fresh"):
                return error(f"a run that was begun anew did not get to its first checkpoint: {account.problem}")
            return failed(f"after {kills} kills, killed behind step {done} and resumed: {account.problem}", fix=_FIX)
        if not described.get("fresh"):
            kills += 1
            worst = max(worst, done - account.begun)
            before += account.begun < done // every * every
        done = account.done
    if not before:
        return error(
            f"none of {kills} kills came before the checkpoint was complete, so nothing was tried",
            fix="raise --kills",
        )
    return judged(
        Measured(
            value=worst,
            bound=every,
            origin=f"checkpoints are {every} steps apart; {kills} kills at points drawn with seed {run.seed} within "
            f"{1000 * (write_s + step_s):.3g} ms behind the step before a checkpoint, {before} of them before it was "
            "complete",
            unit="steps lost at most",
        ),
        otherwise=f"a kill cost {worst} steps, and checkpoints are {every} steps apart",
        fix=_FIX,
    )


def _times(reference: Reference, every: int) -> tuple[float, float]:
    """Return how long a step takes, and how much longer one behind a checkpoint."""
    times = reference.run.times
    gaps = [(step, later - earlier) for step, (earlier, later) in enumerate(pairwise(times), 1)]
    usual = median(gap for step, gap in gaps if step % every)
    with_checkpoint = median(gap for step, gap in gaps if step % every == 0)
    return usual, max(with_checkpoint - usual, 0.0)
