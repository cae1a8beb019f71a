"""A new model's loss is about that of one that knows nothing."""

import math
import statistics

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import numbers_of
from audit.results import Check, Severity
from validation.smoke.checks import forward
from validation.smoke.model import RegisteredModel

CHECK = Check(
    id="smoke.initial_loss",
    title="The loss begins near its theoretical value",
    proves="The mean loss of the new model over eight batches differs from the value that its spec declares for a "
    "model that knows nothing by no more than outputs of unit variance change the loss.",
    defect="logits that are multiplied by 100",
    severity=Severity.MAJOR,
)
REQUIRES = (forward.CHECK.id,)
_DEVIATIONS = 4.0  # a normal mean is further off in one of 16,000 runs


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare the mean loss with the declared one."""
    declared = model.entry.initial_loss
    if declared is None:
        return not_applicable("its spec declares no 'initial_loss', such as log(number of classes)")
    try:
        reply = model.call_on_batch(run, "model_initial_loss")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward", "loss"))
    losses, silent, noise = (numbers_of(reply, key) for key in ("losses", "silent", "noise"))
    if not losses or not len(losses) == len(silent) == len(noise):
        return error("no loss was measured")
    if not all(map(math.isfinite, (*silent, *noise))):
        return error("the loss of outputs that are zero or standard normal is not finite, so nothing can be expected")
    mean = statistics.fmean(losses)
    if not math.isfinite(mean):
        return error("the loss is not finite: smoke.backward says so")
    spread = statistics.stdev(losses) / math.sqrt(len(losses)) if len(losses) > 1 else 0.0
    change = abs(statistics.fmean(noise) - statistics.fmean(silent))
    return judged(
        Measured(
            value=abs(mean - declared),
            bound=change + _DEVIATIONS * spread,
            origin=f"outputs of unit variance, which the usual initialisation gives at most, change the loss by "
            f"{change:.4g}; {_DEVIATIONS:g} standard errors of the mean of {len(losses)} batches are "
            f"{_DEVIATIONS * spread:.4g}; declared is {declared:.6g}, measured {mean:.6g}",
            unit="difference from the declared loss",
        ),
        otherwise=f"the loss begins at {mean:.4g}, and {declared:.4g} is declared for a model that knows nothing",
        fix="look at the size of the outputs of the new model, at the loss, and at the declared value",
    )
