"""The target's own command trains to its end, and again the same way."""

from collections.abc import Mapping

from audit.catalog import TrainingEntry
from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged, skipped
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import numbers_of
from audit.results import Check, Comparison, Severity
from validation.training.pace import AS_ASKED, Counted, Pace, declared_pace, of_steps, pace_of
from validation.training.settings import COMMAND_STEPS
from validation.training.trainee import COMPARED, CommandRun, Reference, Trainee, command_run_of

CHECK = Check(
    id="train.command_repeats",
    title="The training command gives the same run twice",
    proves="The declared command ends with status 0 after the steps that it was given, in which the weights change. "
    "A second run in a new interpreter has after every optimizer step the same weights, the same of what else their "
    "modules save, and the same in modules that are moving copies of them, to the last bit.",
    defect="a trainer that shuffles its data with a generator that is not seeded",
    severity=Severity.CRITICAL,
)
REQUIRES: tuple[str, ...] = ()


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Run the command twice, and keep the first run for the checks that follow."""
    if trainee.entry.problem:
        return error(f"specs {trainee.specs}: {trainee.declared_as}: {trainee.entry.problem}")
    run.probe.close()  # its forks must be those of a process that has computed nothing
    declared = trainee.entry.optimizer_steps if isinstance(trainee.entry, TrainingEntry) else None
    trainee.pace = AS_ASKED if declared is None else declared_pace(declared)
    try:
        reply = trainee.call_command(run, "train_command")
        first = command_run_of(reply.get("first"))
        if declared is None and first.in_time and first.status == 0 and len(first.checksums) not in (0, COMMAND_STEPS):
            pace = _learned(trainee, len(first.checksums), reply.get("counted"))
            if isinstance(pace, Judgement):
                return pace
            trainee.pace = pace
            if pace.own_steps > 1:  # so that a checkpoint is behind a step of the optimizer
                reply = trainee.call_command(run, "train_command")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("batches",))
    return _judged(trainee, reply)


def _learned(trainee: Trainee, took: int, described: Plain) -> Pace | Judgement:
    counted = command_run_of(described)
    if not counted.in_time:
        return error(f"a run was not over within {trainee.settings.limit_s:g} s", fix="give it more with --limit-s")
    assert isinstance(described, dict)
    if counted.status != 0:
        return failed(
            f"with {described.get('steps')!r} steps, it ended with status {counted.status}: {last_lines(counted)}"
        )
    asked = numbers_of({"steps": [described.get("steps")]}, "steps")
    counts = [int(each) for each in numbers_of(described, "counts")]
    optimizers, gradients, steps = counts if len(counts) == len(("optimizers", "gradients", "steps")) else (0, 0, 0)
    return pace_of(
        took,
        Counted(
            asked=int(asked[0]),
            took=len(counted.checksums),
            optimizers=optimizers,
            gradients=gradients,
            steps=steps,
        ),
    )


def _judged(trainee: Trainee, reply: Mapping[str, Plain]) -> Judgement:
    first, second = command_run_of(reply.get("first")), command_run_of(reply.get("second"))
    pace = trainee.pace
    if not first.in_time or not second.in_time:
        return error(f"a run was not over within {trainee.settings.limit_s:g} s", fix="give it more with --limit-s")
    for each in (first, second):
        if each.status != 0:
            return failed(f"it ended with status {each.status}: {last_lines(each)}")
    if not first.checksums:
        return error("it took no step of a torch optimizer, so there is nothing to compare", fix="name another command")
    if len(first.checksums) != pace.taken:
        return failed(
            f"it took {len(first.checksums)} optimizer steps, and its command line asks for {pace.asked} of its own, "
            f"which are {pace.taken}",
            measured=of_steps(len(first.checksums), pace),
        )
    if len(set(first.weights)) <= pace.optimizer_steps:  # those of each optimizer, time and again
        return failed(
            f"the weights did not change in {pace.taken} steps",
            measured=Measured(
                value=len(set(first.weights)),
                bound=pace.optimizer_steps + 1,
                comparison=Comparison.AT_LEAST,
                origin="a step changes the weights of its optimizer; checksums of all that it has",
                unit="different weights after a step",
            ),
            fix="see whether the loss depends on the weights, and whether the learning rate is above 0",
        )
    sizes = numbers_of({"size": [reply.get("largest_file_bytes")]}, "size")
    fork = command_run_of(reply.get("fork"))
    begun = len(fork.checksums)
    trainee.reference = Reference(
        run=first,
        # Where a fork differs from a new interpreter, nothing is run in one.
        forks=begun > 0 and (fork.checksums, fork.copies) == (first.checksums[:begun], first.copies[:begun]),
        largest_file_bytes=int(sizes[0]),
        pace=pace,
    )
    return judged(
        Measured(
            value=sum(a == b for a, b in zip(_compared(first), _compared(second), strict=False)),
            bound=pace.taken,
            comparison=Comparison.EQUAL,
            origin=f"the same operations in the same order; {COMPARED}",
            unit="steps with the same weights",
        ),
        otherwise=f"the second run has other {_different(first, second)}",
        fix="seed every generator that the trainer draws from",
    )


def _compared(run: CommandRun) -> list[tuple[int, int]]:
    return list(zip(run.checksums, run.copies, strict=True))


def _different(first: CommandRun, second: CommandRun) -> str:
    pairs = enumerate(zip(_compared(first), _compared(second), strict=False), start=1)
    step = next((step for step, (a, b) in pairs if a != b), len(second.checksums) + 1)
    what = "weights" if first.weights != second.weights else "buffers or copies of the model"
    return f"{what} from step {step} on"


def last_lines(run: CommandRun, count: int = 3) -> str:
    """Return the end of what a run has printed."""
    lines = [line for line in run.said.splitlines() if line.strip()]
    return " / ".join(lines[-count:]) or "it printed nothing"


def without_command(trainee: Trainee) -> Judgement:
    """The judgement of every check of the command where none is declared."""
    return skipped(f"{trainee.declared_as} declares no 'command', so the package's own trainer was not looked at")
