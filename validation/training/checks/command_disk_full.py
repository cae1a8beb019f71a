"""A checkpoint that does not fit the disk is a clear error of the target's command, and the last one is intact."""

from audit.judgement import Judgement, Measured, error, judged
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from validation.training.checks import command_resumes
from validation.training.checks.command_repeats import last_lines
from validation.training.command_place import WRITES, command_place
from validation.training.resumed import account_of
from validation.training.trainee import CommandRun, Trainee, command_run_of

CHECK = Check(
    id="train.command_disk_full",
    title="A full disk is a clear error, and the last checkpoint intact",
    proves="Where a checkpoint cannot be written (a limit on the size of files, half of what the largest needs), the "
    "command ends with a status other than 0 and names the reason or the file, and resumes from the checkpoint before.",
    defect="a trainer that catches the error of a write and goes on",
    severity=Severity.MAJOR,
)
REQUIRES = (command_resumes.CHECK.id,)
# What the limit makes of a write, and what a full disk would; the first is the second's stand-in.
_REASONS = ("file too large", "no space left", "cannot be written", "could not be written", "disk", "errno 27")
_SHOWN_LINES = 5


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Leave no room for the second checkpoint."""
    reference = trainee.reference
    assert reference is not None
    limit = reference.largest_file_bytes // 2
    if not limit:
        return error("the command has left no file in {checkpoint_dir}")
    reply = trainee.call_command(run, "train_command_full", forks=reference.forks, max_file_bytes=limit)
    begun, full, resumed = (command_run_of(reply.get(key)) for key in ("begun", "full", "resumed"))
    before = account_of(reference, begun)
    if before.problem is not None:
        return error(f"a run that was begun anew did not get to its first checkpoint: {before.problem}")
    wrong = _wrong(full)
    account = account_of(reference, resumed, near=reference.every)
    if account.problem is not None:
        wrong.append(f"resumed where there is room: {account.problem}")
    elif account.begun < reference.every:
        wrong.append("the checkpoint before it is lost")
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"files were limited to {limit} bytes, half of the largest that the command writes",
            unit="things wrong with how it ended",
        ),
        otherwise="; ".join(wrong),
        fix="write a checkpoint aside, and let the error of a write end the run, with the path and the reason",
        location=command_place(run.target, trainee.specs, trainee.name, WRITES),
    )


def _wrong(full: CommandRun) -> list[str]:
    if not full.in_time:
        return ["it hung"]
    if full.status == 0:
        return ["it ended with status 0, as if its checkpoints had been written"]
    if full.status is not None and full.status < 0:
        return [f"it was killed by signal {-full.status}"]
    said = "\n".join([line for line in full.said.splitlines() if line.strip()][-_SHOWN_LINES:]).lower()
    return [] if any(reason in said for reason in _REASONS) else [f"what it said last is no reason: {last_lines(full)}"]
