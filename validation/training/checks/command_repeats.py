"""The target's own command trains to its end, and again the same way."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged, skipped
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import numbers_of
from audit.results import Check, Comparison, Severity
from validation.training.settings import COMMAND_STEPS
from validation.training.trainee import CommandRun, Reference, Trainee, command_run_of

CHECK = Check(
    id="train.command_repeats",
    title="The training command gives the same run twice",
    proves="The declared command ends with status 0 after the steps that it was given, and a second run in a new "
    "interpreter has the same weights after every optimizer step, to the last bit.",
    defect="a trainer that shuffles its data with a generator that is not seeded",
    severity=Severity.CRITICAL,
)
REQUIRES: tuple[str, ...] = ()


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Run the command twice, and keep the first run for the checks that follow."""
    if trainee.entry.problem:
        return error(f"specs {trainee.specs}: {trainee.declared_as}: {trainee.entry.problem}")
    run.probe.close()  # its forks must be those of a process that has computed nothing
    try:
        reply = trainee.call_command(run, "train_command")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("batches",))
    first, second = command_run_of(reply.get("first")), command_run_of(reply.get("second"))
    if not first.in_time or not second.in_time:
        return error(f"a run was not over within {trainee.settings.limit_s:g} s", fix="give it more with --limit-s")
    for each in (first, second):
        if each.status != 0:
            return failed(f"it ended with status {each.status}: {last_lines(each)}")
    if not first.checksums:
        return error("it took no step of a torch optimizer, so there is nothing to compare", fix="name another command")
    if len(first.checksums) != COMMAND_STEPS:
        return failed(
            f"it took {len(first.checksums)} optimizer steps, and its command line asks for {COMMAND_STEPS}",
            measured=Measured(
                value=len(first.checksums),
                bound=COMMAND_STEPS,
                comparison=Comparison.EQUAL,
                origin="{steps} in its command line",
                unit="optimizer steps",
            ),
        )
    sizes = numbers_of({"size": [reply.get("largest_file_bytes")]}, "size")
    fork = command_run_of(reply.get("fork"))
    trainee.reference = Reference(
        run=first,
        # Where a fork differs from a new interpreter, nothing is run in one.
        forks=bool(fork.checksums) and fork.checksums == first.checksums[: len(fork.checksums)],
        largest_file_bytes=int(sizes[0]),
    )
    same = sum(a == b for a, b in zip(first.checksums, second.checksums, strict=False))
    return judged(
        Measured(
            value=same,
            bound=COMMAND_STEPS,
            comparison=Comparison.EQUAL,
            origin="the same operations in the same order; checksums of all weights after each step",
            unit="steps with the same weights",
        ),
        otherwise=f"the second run has other weights from step {_first_difference(first, second)} on",
        fix="seed every generator that the trainer draws from",
    )


def _first_difference(first: CommandRun, second: CommandRun) -> int:
    pairs = enumerate(zip(first.checksums, second.checksums, strict=False), start=1)
    return next((step for step, (a, b) in pairs if a != b), len(second.checksums) + 1)


def last_lines(run: CommandRun, count: int = 3) -> str:
    """Return the end of what a run has printed."""
    lines = [line for line in run.said.splitlines() if line.strip()]
    return " / ".join(lines[-count:]) or "it printed nothing"


def without_command(trainee: Trainee) -> Judgement:
    """The judgement of every check of the command where none is declared."""
    return skipped(f"{trainee.declared_as} declares no 'command', so the package's own trainer was not looked at")
