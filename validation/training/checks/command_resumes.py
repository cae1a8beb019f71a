"""The target's own command resumes from each of its checkpoints."""

from collections.abc import Sequence

from audit.judgement import Judgement, Measured, judged
from audit.plan import Run
from audit.replies import names_of
from audit.results import Check, Comparison, Location, Severity
from validation.training.checks import command_repeats
from validation.training.command_place import command_place
from validation.training.resumed import account_of
from validation.training.settings import COMMAND_CHECKPOINT_EVERY, COMMAND_STEPS
from validation.training.trainee import CommandRun, Reference, Trainee, command_runs_of

CHECK = Check(
    id="train.command_resumes",
    title="The training command resumes from every checkpoint",
    proves="Killed in the step behind each checkpoint but the last and resumed, the command goes on from that "
    "checkpoint with the same weights after every step as the uninterrupted run, to the last bit.",
    defect="a trainer that does not save the state of its optimizer",
    severity=Severity.CRITICAL,
)
REQUIRES = (command_repeats.CHECK.id,)
_FIX = "save and restore model, optimizer, schedule, random state and place in the data"
_FIX_WITHOUT = (
    "write a checkpoint into {checkpoint_dir} every {checkpoint_every} steps, which the command may be given, with "
    "model, optimizer, schedule, random state and place in the data"
)


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Go through the checkpoints, one after another."""
    assert trainee.reference is not None
    reply = trainee.call_command(run, "train_command_resumed", forks=trainee.reference.forks)
    runs = command_runs_of(reply, "runs")
    place = command_place(run.target, trainee.specs, trainee.name)
    return _judged(trainee.reference, runs, names_of(reply, "left"), place)


def _judged(
    reference: Reference, runs: Sequence[CommandRun], left: Sequence[str], location: Location | None
) -> Judgement:
    """Compare each run behind the first kill, where `left` were the files in the folder of the checkpoints."""
    every = COMMAND_CHECKPOINT_EVERY
    problem, good = None, 0
    for number, each in enumerate(runs[1:], start=1):
        account = account_of(reference, each)
        if number == 1 and not left and (account.problem is not None or account.begun == 0):
            said = account.problem or "resumed, it began from step 0"
            problem = f"no checkpoint was in {{checkpoint_dir}} when it was killed behind step {every + 1}: {said}"
        elif account.problem is not None:
            problem = f"resumed behind step {number * every + 1}: {account.problem}"
        elif account.begun != number * every:
            problem = f"killed behind step {number * every + 1}, it resumed from step {account.begun}"
        if problem:
            break
        good += 1
    return judged(
        Measured(
            value=good,
            bound=COMMAND_STEPS // every - 1,
            comparison=Comparison.EQUAL,
            origin=f"a checkpoint every {every} of {COMMAND_STEPS} steps; checksums of all weights after each step",
            unit="checkpoints resumed from",
        ),
        otherwise=problem or "it was killed in the step behind a checkpoint, and did not get there again",
        fix=_FIX if left else _FIX_WITHOUT,
        location=location,
    )
