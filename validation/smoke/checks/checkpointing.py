"""Activation checkpointing changes neither the loss nor a gradient."""

import torch

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import number_of, text_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import optimizer_step
from validation.smoke.compare import difference
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.checkpointing",
    title="Activation checkpointing keeps loss and gradients",
    proves="With activation checkpointing modules run again during backward, and the loss and every gradient are those "
    "without it, to the last bit.",
    defect="a checkpointed block that draws other dropout when it is run again",
    severity=Severity.MAJOR,
)
REQUIRES = (optimizer_step.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Turn it on and compare."""
    try:
        reply = model.call_on_batch(run, "model_recomputed")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("checkpointing", "forward", "loss", "backward"))
    if reply.get("how") is None:
        return not_applicable(
            "the model offers no activation checkpointing by a conventional name, and the specs have no `checkpointing`"
        )
    how = text_of(reply, "how")
    plain, again = tensors_of(reply, "plain"), tensors_of(reply, "recomputed")
    if any(not torch.isfinite(tensor).all() for tensor in plain.values()):
        return error("no reference to compare with: a gradient is not finite")
    forwards = number_of(reply, "forwards")
    if not forwards:
        return failed(
            f"{how} has no effect: no module runs again during backward",
            fix="run the blocks through torch.utils.checkpoint.checkpoint where it is on",
        )
    return judged(
        Measured(
            value=difference(plain, again),
            bound=0.0,
            comparison=Comparison.EQUAL,
            origin=f"{how}: what runs again does the same operations on the same numbers; {forwards:g} modules did, "
            f"compared: the loss and {len(plain) - 1} gradients",
            unit="max abs difference",
        ),
        otherwise=f"with {how} the loss or a gradient is another one",
        fix="let checkpoint() keep the random state, and use use_reentrant=False",
    )
