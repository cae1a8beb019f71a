"""A weight or a gradient that becomes NaN stops the target's command, with the step and the parameter named."""

import re

from audit.gateway import ProbeFailure
from audit.judgement import Judgement, Measured, error, judged
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from validation.training.checks import command_resumes
from validation.training.checks.command_repeats import last_lines
from validation.training.command_place import GRADIENTS, command_place
from validation.training.pace import Pace
from validation.training.resumed import account_of
from validation.training.trainee import CommandRun, Trainee, command_run_of

CHECK = Check(
    id="train.command_nan",
    title="A NaN stops the training command, named by step and parameter",
    proves="After a weight became NaN in the step before a checkpoint, and in another run the gradient of a parameter, "
    "the command ended with a status other than 0 before it took two more steps, named the step and the parameter, and "
    "left checkpoints from which it goes on as the uninterrupted run.",
    defect="a trainer that does not look at its loss",
    severity=Severity.MAJOR,
)
REQUIRES = (command_resumes.CHECK.id,)
_HARMS = ("weight", "gradient")


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Turn values into NaN, and see what the command makes of it."""
    reference = trainee.reference
    assert reference is not None
    every = reference.every
    reply = trainee.call_command(run, "train_command_poisoned", forks=reference.forks)
    wrong: list[str] = []
    names: list[str] = []
    for harm in _HARMS:
        described = reply.get(harm)
        after = described.get("after") if isinstance(described, dict) else None
        if not isinstance(after, int):
            raise ProbeFailure("the target's process sent a malformed account of a run")
        stopped = command_run_of(described)
        if stopped.named is None:
            return error(f"the run ended before a {harm} could be turned into NaN: {last_lines(stopped)}")
        if not stopped.named:
            return error("the parameter of the optimizer's first group belongs to no module that was called")
        names.append(stopped.named)
        wrong += [
            f"with a {harm} of {stopped.named} NaN: {each}" for each in _wrong(stopped, harm, after, reference.pace)
        ]
        account = account_of(reference, command_run_of(reply.get(f"{harm}_resumed")), near=after // every * every)
        if account.problem is not None:
            wrong.append(f"resumed after a NaN {harm}: {account.problem}")
        elif account.begun < after // every * every - every:
            wrong.append(f"resumed after a NaN {harm} from step {account.begun}, and step {after} had been done")
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"{names[0]} was turned into NaN, and its gradient in another run",
            unit="things wrong with how it stopped",
        ),
        otherwise="; ".join(wrong),
        fix="look at the loss and at the gradients' norm in each step, and at the weights before they are saved; raise "
        "with the step and the parameter's name",
        location=command_place(run.target, trainee.specs, trainee.name, GRADIENTS),
    )


def _wrong(stopped: CommandRun, harm: str, after: int, pace: Pace) -> list[str]:
    wrong = []
    if not stopped.in_time:
        wrong.append("it went on until its time was up")
    elif stopped.status == 0:
        wrong.append("it ended with status 0")
    if len(stopped.checksums) > after + pace.optimizer_steps:
        wrong.append(f"it took {len(stopped.checksums) - after} more steps")
    # A weight shows in the step that it is found after, or in the next; a gradient in the next of its optimizer.
    steps = range(after if harm == "weight" else after + 1, after + pace.optimizer_steps + 1)
    own = sorted({each for step in steps for each in pace.own_steps_of(step)})
    if not any(re.search(rf"(?<![\w.]){step}(?![\w.]*\w)", stopped.said) for step in {*steps, *own}):
        wrong.append(f"what it printed does not name step {own[-1]}")
    assert stopped.named is not None
    if stopped.named.removeprefix("module.") not in stopped.said:
        wrong.append("what it printed does not name the parameter")
    return [f"{each} ({last_lines(stopped, 1)})" if "print" in each else each for each in wrong]
