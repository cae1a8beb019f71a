"""The target's own command on two ranks learns what one process learns from the same global batch."""

import math
from collections.abc import Mapping

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
_COARSE = ("bfloat16", "float16")


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
    if problem := _unusable(ranks, alone):
        return problem
    largest = max(abs(ranks[step] - alone[step]) for step in alone)
    scale = max(abs(value) for value in alone.values())
    bound = COMMAND_STEPS**2 * _FLOAT32_EPSILON * scale
    spread = max(alone.values()) - min(alone.values())
    if spread <= bound and largest <= bound:
        return error(
            f"the losses of one process extend over {spread:.3g}, and rounding may move them by {bound:.3g}: nothing "
            "can be told from them",
            fix="log the loss of each step as it is computed",
        )
    coarse = _coarse(trainee)
    if largest > bound and coarse:
        return error(
            f"the losses differ by {largest:.3g}, more than float32 rounds, and the command computes in {coarse}, "
            "which rounds more in each step than what is compared: nothing can be told",
            fix="let 'torchrun' and 'one_process' train in float32, as by an option of the command",
        )
    judgement = judged(
        Measured(
            value=largest,
            bound=bound,
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


def _unusable(ranks: Mapping[float, float], alone: Mapping[float, float]) -> Judgement | None:
    """Return what is said of losses that are no numbers; None where all are."""
    first = {
        who: next((step for step, loss in sorted(curve.items()) if not math.isfinite(loss)), None)
        for who, curve in (("two ranks", ranks), ("one process", alone))
    }
    if first["two ranks"] == first["one process"]:
        step = first["one process"]
        return None if step is None else error(f"from step {step:g} on the losses are not finite, in one process too")
    said = ", ".join(
        f"on {who} all losses are finite" if step is None else f"on {who} that of step {step:g} is not finite"
        for who, step in first.items()
    )
    return failed(f"the losses on two ranks are not those of one process: {said}")


def _coarse(trainee: Trainee) -> str:
    """Return what types coarser than float32 the command computes in, for a reason; empty where none."""
    assert trainee.reference is not None
    return " and ".join(each for each in trainee.reference.run.dtypes if each in _COARSE)


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
