"""Gradients of the samples of a batch add up to that of the batch."""

import torch

from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of
from audit.results import Check, Severity
from validation.smoke.alike import ORIGIN, gaps, inseparable, judge_gaps, moved_of
from validation.smoke.checks import determinism, optimizer_step
from validation.smoke.model import PAIR, RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.accumulation",
    title="Accumulated gradients equal those of the batch",
    proves="Where the loss is a mean over samples, the gradients of micro-batches of one sample, each of its share of "
    "the loss, add up to those of the whole batch, as nearly as rounding allows.",
    defect="a forward that clears the gradients",
    severity=Severity.MAJOR,
)
REQUIRES = (optimizer_step.CHECK.id, determinism.CHECK.id)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare the sum over micro-batches with the whole batch."""
    try:
        reply = model.call_on_batch(run, "model_accumulated", batch_size=PAIR)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward", "loss", "backward"))
    if coupled := names_of(reply, "coupled"):
        return not_applicable(f"samples of a batch are normalised together in train mode: {', '.join(coupled[:4])}")
    if judgement := inseparable(reply):
        return judgement
    whole, parts, moved = tensors_of(reply, "whole"), tensors_of(reply, "parts"), moved_of(reply)
    if any(not torch.isfinite(tensor).all() for tensor in whole.values()):
        return error("no reference to compare with: the loss or a gradient is not finite")
    (loss,) = gaps({"loss": whole["loss"]}, parts, moved)
    if loss.error > loss.bound:
        return not_applicable(
            f"the loss is no mean over samples: it is {float(whole['loss']):.6g} for the batch, and "
            f"{float(parts['loss']):.6g} on average over its {PAIR} samples"
        )
    mode = "eval mode, for train mode is random" if reply.get("random") else "train mode"
    return judge_gaps(
        gaps(whole, parts, moved),
        origin=f"{ORIGIN}; {mode}, {PAIR} micro-batches",
        otherwise="the gradients of micro-batches do not add up to that of the batch, and their losses do",
        fix="keep nothing from one forward to the next, and leave gradients to the optimizer",
    )
