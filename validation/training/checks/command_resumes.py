"""The target's own command resumes from each of its checkpoints."""

from collections.abc import Sequence

from audit.judgement import Judgement, Measured, judged
from audit.plan import Run
from audit.replies import names_of
from audit.results import Check, Comparison, Location, Severity
from validation.training.checks import command_repeats
from validation.training.command_place import READS, command_place
from validation.training.resumed import account_of
from validation.training.trainee import COMPARED, CommandRun, Reference, Trainee, command_runs_of

CHECK = Check(
    id="train.command_resumes",
    title="The training command resumes from every checkpoint",
    proves="Killed in the step behind each checkpoint but the last and resumed, the command goes on from that "
    "checkpoint as the uninterrupted run, to the last bit after every step: in the weights, in what else their modules "
    "save, and in modules that are moving copies of them, such as averaged weights.",
    defect="a trainer that does not save the state of its optimizer",
    severity=Severity.CRITICAL,
)
REQUIRES = (command_repeats.CHECK.id,)
_FIX = "save and restore model with buffers, optimizer, schedule, averaged weights, random state and place in the data"
_FIX_WITHOUT = (
    "write a checkpoint into {checkpoint_dir} every {checkpoint_every} steps, which the command may be given, with "
    "model, optimizer, schedule, random state and place in the data"
)


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Go through the checkpoints, one after another."""
    assert trainee.reference is not None
    reply = trainee.call_command(run, "train_command_resumed", forks=trainee.reference.forks)
    runs = command_runs_of(reply, "runs")
    place = command_place(run.target, trainee.specs, trainee.name, READS)
    return _judged(trainee.reference, runs, names_of(reply, "left"), place)


def _judged(
    reference: Reference, runs: Sequence[CommandRun], left: Sequence[str], location: Location | None
) -> Judgement:
    """Compare each run behind the first kill, where `left` were the files in the folder of the checkpoints."""
    every = reference.every
    problem, good = None, 0
    for number, each in enumerate(runs[1:], start=1):
        account = account_of(reference, each, near=number * every)
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
            bound=reference.pace.taken // every - 1,
            comparison=Comparison.EQUAL,
            origin=f"a checkpoint every {every} of {reference.pace.taken} steps; {COMPARED}",
            unit="checkpoints resumed from",
        ),
        otherwise=problem or "it was killed in the step behind a checkpoint, and did not get there again",
        fix=_FIX if left else _FIX_WITHOUT,
        location=location,
    )
