"""The loss of a batch does not depend on the order of its samples."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import text_of
from audit.results import Check, Severity
from validation.smoke.alike import ORIGIN, Gap, Tensors, gaps, inseparable, judge_gaps, moved_of
from validation.smoke.checks import output_forms
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.sample_order",
    title="The loss does not depend on the order of the samples",
    proves="In eval mode the loss of eight samples is that of the same ones in another order, as nearly as rounding "
    "allows, and is another one where the outputs of the samples are compared with the targets of others, or, of a "
    "loss that compares outputs with one another as a contrastive one does, with the outputs of others.",
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
        if judgement := _between_outputs(reply, whole["loss"], moved, found):
            return judgement
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


def _between_outputs(
    reply: Mapping[str, Plain], whole: Tensor, moved: Sequence[Tensors], ordered: Sequence[Gap]
) -> Judgement | None:
    """Judge a loss that compares outputs with one another by these alone, in another order; None where it does not.

    It does not where it is a sum of terms that look at one axis of samples each, which may have targets for each place
    in the batch: then what one axis in another order adds is the same whatever the order of the others. Four losses
    tell, which may err by twice what two may.
    """
    if reply.get("between") is None:
        return None
    losses = tensors_of(reply, "between")
    jointly = gaps({"loss": whole}, {"loss": losses["all"]}, moved)
    (bound,) = (gap.bound for gap in jointly)
    joins = 0.0
    for name, one in losses.items():
        if name.startswith("one."):
            others = losses[name.replace("one.", "others.")]
            joins = max(joins, float((losses["all"].double() - one.double() - others.double() + whole.double()).abs()))
    if not joins > 2 * bound:
        return None
    if jointly[0].error <= bound and any(gap.error > gap.bound for gap in ordered):
        return None  # the outputs depend on the order, and the loss of them does not: smoke.batch_rows looks at these
    if jointly[0].error > bound:
        # A negative that is taken from the next place in the batch depends on the order, too, and is no mistake.
        return error(
            f"the loss compares outputs with one another, and with all samples in another order it moves by "
            f"{jointly[0].error:.3g}, by rounding {bound:.3g} at the most: so it takes some sample by its place in the "
            "batch, and whether that is one to be told from or a wrong target is not known",
            fix="compare the output of each sample with the other outputs of the same sample in every term of the "
            "loss, and take others to be told from them wherever they stand in the batch",
        )
    return judge_gaps(
        jointly,
        origin=f"{ORIGIN}; the loss compares outputs with one another: with the samples of one in another order than "
        f"those of the others it moves by up to {joins:.3g} more than by each of both",
        otherwise="the same outputs with their samples in another order have another loss",
    )
