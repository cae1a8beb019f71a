"""The loss of a batch does not depend on the order of its samples."""

import torch

from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import text_of
from audit.results import Check, Severity
from validation.smoke.alike import ORIGIN, gaps, inseparable, judge_gaps, moved_of
from validation.smoke.checks import output_forms
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.sample_order",
    title="The loss does not depend on the order of the samples",
    proves="In eval mode the loss of eight samples is that of the same ones in another order, as nearly as rounding "
    "allows, and is another one where the outputs of the samples are compared with the targets of others.",
    defect="targets that are shifted by one sample against the outputs",
    severity=Severity.CRITICAL,
)
REQUIRES = (output_forms.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare the loss of the batch with that of its samples in another order."""
    try:
        reply = model.call(run, "model_in_other_order")
    except TargetRaised as raised:
        # It has run on a batch before: one that must be in some order, as packed sequences are, is no mistake of it.
        return judge_raised(raised, run.target, phases=())
    if judgement := inseparable(reply):
        return judgement
    whole, moved = tensors_of(reply, "whole"), moved_of(reply)
    if any(not torch.isfinite(tensor).all() for tensor in whole.values()):
        return error("no reference to compare with: the loss is not finite")
    found = gaps(whole, tensors_of(reply, "ordered"), moved)
    if reply.get("crossed") is None:
        return error(
            "the outputs of the eight samples do not fit the targets of others, so whether the loss looks at these is "
            f"not known: {text_of(reply, 'not_crossed')}",
            fix="let 'inputs' give samples of one length, or some of them",
        )
    (crossed,) = gaps(whole, tensors_of(reply, "crossed"), moved)
    if crossed.error <= crossed.bound:
        # So would a loss be that looks at nothing but the outputs, and one whose targets belong to places in the batch.
        return not_applicable(
            "the loss is the same with the inputs of other samples: its targets are not made from the inputs, or are "
            "the same for all eight"
        )
    return judge_gaps(
        found,
        origin=f"{ORIGIN}; with the targets of other samples the loss moves by {crossed.error:.3g}",
        otherwise="the same samples in another order have another loss",
        fix="compare the output of each sample with the target of the same sample",
    )
