"""The loss falls, and below that of the best prediction that does not look at its input."""

import math
from collections.abc import Sequence
from dataclasses import replace

from audit.gateway import ProbeFailure, TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import numbers_of
from audit.results import Check, Comparison, Severity
from validation.training.checks import run as run_check
from validation.training.constants import HOW_TO_MEND, cannot_be_beaten, said_of
from validation.training.series import loss_series
from validation.training.settings import STEPS
from validation.training.statistics import upper_limit_of_mean
from validation.training.trainee import FirstRun, Trainee

CHECK = Check(
    id="train.learns",
    title="The loss falls below that of a constant prediction",
    proves="The mean loss of the last tenth of the steps is below that of the first, and the trained model in eval "
    "mode has a lower loss than constants in the place of its outputs, which are fitted to the very batches of the "
    "comparison: those trained on for a model of MODELS, those behind the last step for an entry of TRAINING.",
    defect="a model whose output does not depend on its input",
    severity=Severity.CRITICAL,
)
REQUIRES = (run_check.CHECK.id,)
_TENTH = 10
_BOUNDLESS = 2.0**64  # the square root of the largest number of float32: only a search without an end gets there


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Compare the beginning of the curve with its end, and the model with the best constants."""
    first = trainee.run_done
    early, late = _ends(first)
    if cannot_be_beaten(early, min(early, late), first.losses):
        reason = f"the loss is {early:.3g} from the beginning, so there is nothing to learn"
        return replace(error(reason, fix=HOW_TO_MEND), series=loss_series(first))
    if late >= early:
        falls = Measured(
            value=late, bound=early, comparison=Comparison.AT_MOST, origin="the mean loss of the first tenth"
        )
        if late > early:
            return replace(
                _slow(falls, first, f"the loss rose from {early:.6g} to {late:.6g}"), series=loss_series(first)
            )
        return replace(_not_learned(f"the loss stayed at {early:.6g}", first, None), series=loss_series(first))
    try:
        reply = trainee.call(run, "train_baseline", steps=trainee.settings.steps, folder=trainee.folder)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("load",))
    model = numbers_of(reply, "model")
    if reply.get("constant") is None:
        declared = trainee.entry.initial_loss
        if declared is None:
            return error(
                "the loss does not depend on what the model returns when it is called, so there is no baseline",
                fix="let 'loss' compute it from what the model returns; where the model computes it, declare "
                "`initial_loss`, that of a prediction that does not look at its input",
            )
        return _compared(model, [declared] * len(model), first, what="of the declared `initial_loss`")
    return _compared(model, numbers_of(reply, "constant"), first)


def _ends(first: FirstRun) -> tuple[float, float]:
    count = max(1, len(first.losses) // _TENTH)
    return math.fsum(first.losses[:count]) / count, math.fsum(first.losses[-count:]) / count


def _compared(
    model: Sequence[float], constant: Sequence[float], first: FirstRun, *, what: str = "of the best constants"
) -> Judgement:
    if len(model) != len(constant) or len(model) < 2:
        raise ProbeFailure("the target's process sent a malformed comparison")
    gaps = [of_model - of_constant for of_model, of_constant in zip(model, constant, strict=True)]
    if not all(map(math.isfinite, gaps)):
        return error("a loss of the comparison with constants is not finite")
    means = math.fsum(model) / len(model), math.fsum(constant) / len(constant)
    if means[1] < -_BOUNDLESS:
        return error(
            f"constants bring this loss to {means[1]:.3g}, and could bring it lower still: nothing is told by it",
            fix="replace it by the loss that the model is trained with",
        )
    measured = Measured(
        value=upper_limit_of_mean(gaps),
        bound=0.0,
        origin=f"losses of the model and {what}, means {means[0]:.6g} and {means[1]:.6g} over {len(gaps)} batches; "
        "constants are fitted to these batches by L-BFGS",
        unit="upper 95 % limit of the mean difference",
    )
    if measured.holds:
        judgement = judged(measured, otherwise="")
    elif cannot_be_beaten(means[1], min(means[0], _ends(first)[0]), (*model, *constant, *first.losses)):
        judgement = error(said_of(means[1]), fix=HOW_TO_MEND)
    else:
        judgement = _slow(measured, first, f"its loss, {means[0]:.6g}, is not below that of constants, {means[1]:.6g}")
    return replace(judgement, series=loss_series(first))


def _slow(measured: Measured, first: FirstRun, reason: str) -> Judgement:
    return _not_learned(reason, first, measured)


def _not_learned(reason: str, first: FirstRun, measured: Measured | None) -> Judgement:
    """Fail, unless the run was shorter than the usual one: then it may learn later, and nothing is known."""
    steps = len(first.losses)
    if steps < STEPS:
        return error(f"after {steps} steps {reason}; a run of {STEPS} steps would tell")
    return failed(f"after {steps} steps {reason}", measured=measured)
