"""What stands later in a sequence does not reach the outputs before it."""

import torch
from torch import Tensor

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import determinism
from validation.smoke.compare import difference, unusable
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.future_leaks",
    title="The future cannot leak",
    proves="In a model that declares `causal`, other content from a position on, from the second, the middle and the "
    "last, leaves every output before it as it is, to the last bit, and changes an output from there on.",
    defect="attention without its causal rule, a convolution that is padded on both sides",
    severity=Severity.CRITICAL,
)
REQUIRES = (determinism.CHECK.id,)
# Sums in another order, as of a convolution by Fourier transform, move a result by some roundings of its largest term.
_ROUNDINGS = 64


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Change what stands behind a position, and look at what stands before it."""
    causal = model.entry.causal
    if causal is None:
        return not_applicable("the specs declare no `causal`")
    try:
        reply = model.call_on_batch(run, "model_future", causal=causal.model_dump())
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward",))
    whole, length, cuts = tensors_of(reply, "whole"), reply.get("length"), reply.get("cuts")
    if problem := unusable(whole):
        return error(f"no reference to compare with: {problem}")
    if not isinstance(length, int) or not isinstance(cuts, list) or not cuts:
        return error("the content has one position alone, before which nothing stands")
    placed = {name: each for name, each in whole.items() if each.dim() > 1 and each.shape[1] == length}
    if not placed:
        return error(f"no output has the {length} positions of {', '.join(causal.content)} on its second axis")
    worst, leaking = 0.0, []
    for cut in cuts:
        assert isinstance(cut, int)
        later = {name: each for name, each in tensors_of(reply, f"later.{cut}").items() if name in placed}
        if difference(_from(placed, cut), _from(later, cut)) == 0:
            return error(f"no output depends on {', '.join(causal.content)} from position {cut} on: nothing was tested")
        gap = difference(_before(placed, cut), _before(later, cut))
        worst = max(worst, gap)
        leaking += [str(cut)] if gap else []
    largest = max(float(each.double().abs().max()) for each in placed.values())
    if 0 < worst <= _ROUNDINGS * torch.finfo(torch.float32).eps * largest:
        return error(
            f"earlier outputs move by {worst:.3g}, as sums in another order move them too: whether it is the future or "
            "rounding is not told"
        )
    return judged(
        Measured(
            value=worst,
            bound=0.0,
            comparison=Comparison.EQUAL,
            origin=f"the weight of what stands later is exactly zero; content from positions "
            f"{', '.join(map(str, cuts))} of {length} on was changed",
            unit="max abs difference",
        ),
        otherwise=f"outputs change with {', '.join(causal.content)} that stands later, from position "
        f"{', '.join(leaking)} on",
        fix="let every part that looks across positions see earlier ones only",
    )


def _before(outputs: dict[str, Tensor], cut: int) -> dict[str, Tensor]:
    return {name: each[:, :cut] for name, each in outputs.items()}


def _from(outputs: dict[str, Tensor], cut: int) -> dict[str, Tensor]:
    return {name: each[:, cut:] for name, each in outputs.items()}
