"""The target's own command on two ranks learns what one process learns from the same global batch."""

from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.results import Check, Series, Severity
from validation.training.checks import command_repeats
from validation.training.checks.command_repeats import last_lines
from validation.training.settings import COMMAND_STEPS
from validation.training.trainee import Trainee, command_run_of, pairs_of

CHECK = Check(
    id="train.command_ranks",
    title="The training command on two ranks equals one process",
    proves="The losses that the command logs on two ranks are those that it logs in one process with the same global "
    "batch, but for the rounding of sums in another order.",
    defect="two ranks that are given the same half of a batch",
    severity=Severity.MAJOR,
)
REQUIRES = (command_repeats.CHECK.id,)
_FLOAT32_EPSILON = 2.0**-23


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Compare the logged losses."""
    reply = trainee.call_command(run, "train_command_ranks")
    curves = [_curve(reply.get(key), key) for key in ("torchrun", "one_process")]
    for curve in curves:
        if isinstance(curve, Judgement):
            return curve
    ranks, alone = (dict(curve) for curve in curves if not isinstance(curve, Judgement))
    if ranks.keys() != alone.keys() or len(alone) != COMMAND_STEPS:
        return failed(f"two ranks have logged {len(ranks)} steps, one process {len(alone)}; {COMMAND_STEPS} were asked")
    largest = max(abs(ranks[step] - alone[step]) for step in alone)
    scale = max(abs(value) for value in alone.values())
    judgement = judged(
        Measured(
            value=largest,
            bound=COMMAND_STEPS**2 * _FLOAT32_EPSILON * scale,
            origin=f"float32 rounds each of {COMMAND_STEPS} steps by one part in 2^23 of the largest loss, {scale:.6g}"
            ", and each step carries on the roundings of all before it",
            unit="max abs difference of a loss",
        ),
        otherwise="the losses on two ranks differ from those of one process with the same global batch",
        fix="give each rank its own part of the batch, and average over ranks what is logged",
    )
    series = tuple(
        Series(name=name, x_name="step", x=tuple(curve), y=tuple(curve.values()))
        for name, curve in (("loss on two ranks", ranks), ("loss in one process", alone))
    )
    return Judgement(
        outcome=judgement.outcome,
        reason=judgement.reason,
        measured=judgement.measured,
        fix=judgement.fix,
        series=series,
    )


def _curve(described: Plain, key: str) -> tuple[tuple[float, float], ...] | Judgement:
    if not isinstance(described, dict):
        raise ProbeFailure("the target's process sent no account of its runs")
    run = command_run_of(described)
    if not run.in_time:
        return error(f"'{key}' was not over in time")
    if run.status != 0:
        return failed(f"'{key}' ended with status {run.status}: {last_lines(run)}")
    curve = pairs_of(described, "curve")
    return curve or error(f"'{key}' has left no losses in the file that 'curve' names")
