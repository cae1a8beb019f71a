"""What stands later in a sequence does not reach the outputs before it."""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from audit.catalog import Causal
from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.replies import list_of, text_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import determinism
from validation.smoke.compare import unusable
from validation.smoke.misdeclared import judge_misdeclared
from validation.smoke.model import BATCH_SIZE, RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.future_leaks",
    title="The future cannot leak",
    proves="In a model that declares `causal`, other content from a position on leaves every output before it as it "
    "is, to the last bit, and changes one from there on: at every position of a short sequence, at 16 of a longer one, "
    "and in train mode at three. Where an output that is named has one position for each few of the content, it may "
    "see these and what stands before them.",
    defect="attention without its causal rule, a convolution that is padded on both sides",
    severity=Severity.CRITICAL,
)
REQUIRES = (determinism.CHECK.id,)
# Sums in another order, as of a convolution by Fourier transform, move a result by some roundings of its largest term.
_ROUNDINGS = 64
_HOW_TO_NAME = "name the outputs that have positions: 'causal': {..., 'outputs': {NAME: AXIS}}"


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Change what stands behind a position, and look at what stands before it."""
    causal = model.entry.causal
    if causal is None:
        return not_applicable("the specs declare no `causal`")
    try:
        reply = model.call_on_batch(run, "model_future", causal=causal.model_dump())
    except TargetRaised as raised:
        return judge_misdeclared(model, run, "causal", raised)
    whole, length, cuts = tensors_of(reply, "whole"), reply.get("length"), reply.get("cuts")
    if problem := unusable(whole):
        return error(f"no reference to compare with: {problem}")
    if not isinstance(length, int) or not isinstance(cuts, list) or not cuts:
        return error("the content has one position alone, before which nothing stands")
    axes = _axes(whole, length, causal)
    if not axes:
        content = ", ".join(causal.content)
        where = " behind the batch" if causal.axis else ", and that of samples is not as long"
        return error(
            f"no output has the {length} positions of {content} on exactly one axis{where}",
            fix=f"{_HOW_TO_NAME}; such an axis may have one position for each two or more of the content",
        )
    trained = list_of(reply, "trained")
    worst, leaking, is_tested, is_rounding = 0.0, list[tuple[str, int]](), False, True
    in_training = False
    for cut, name, first, second, is_training in _pairs(reply, whole, cuts, trained, axes):
        if second is None or second.shape != first.shape:
            return error(f"{name} has another shape where {', '.join(causal.content)} differs: nothing to compare")
        before = cut // (length // first.shape[axes[name]])  # positions of the output whose content stands before it
        left = first.shape[axes[name]] - before
        behind = (each.narrow(axes[name], before, left) for each in (first, second))
        is_tested |= not is_training and not torch.equal(*behind)
        gap, rounding = _moved(first, second, axes[name], before)
        in_training |= is_training and gap > 0 and not worst
        worst = max(worst, gap)
        is_rounding &= gap <= rounding
        leaking += [(name, cut)] if gap else []
    if not worst and not is_tested:
        return error(f"no output depends on {', '.join(causal.content)} behind its first position: nothing was tested")
    if worst and is_rounding:
        return error(
            f"earlier outputs move by {worst:.3g}, as sums in another order move them too: whether it is the future or "
            "rounding is not told"
        )
    not_judged = sorted(whole.keys() - axes.keys())
    first_leaks = ", ".join(map(str, dict.fromkeys(cut for _, cut in leaking)))
    return judged(
        Measured(
            value=worst,
            bound=0.0,
            comparison=Comparison.EQUAL,
            origin=f"the weight of what stands later is exactly zero; content was changed from {len(cuts)} of {length} "
            f"positions on; judged: {_listed(axes, whole, length)}"
            + (f"; not judged: {', '.join(not_judged)}" if not_judged else "")
            + (f"; in train mode from {len(trained)}" if trained else f"; {text_of(reply, 'not_trained')}"),
            unit="max abs difference",
        ),
        otherwise=f"outputs{' in train mode' if in_training else ''} change with {', '.join(causal.content)} standing "
        f"later, from position {first_leaks} on: "
        f"{_listed({name: axes[name] for name, _ in leaking}, whole, length)}",
        fix="let every part that looks across positions see earlier ones only"
        + ("" if causal.outputs else f"; where no positions stand on an axis that is named here, {_HOW_TO_NAME}"),
    )


def _pairs(
    reply: Mapping[str, Plain],
    whole: Mapping[str, Tensor],
    cuts: list[Plain],
    trained: list[Plain],
    axes: Iterable[str],
) -> Iterator[tuple[int, str, Tensor, Tensor | None, bool]]:
    """Yield each position, output, what it is and what it is where later content differs, in eval mode, then in train.

    Of what train mode returns in another form the axes say nothing.
    """
    for cut in (each for each in cuts if isinstance(each, int)):
        later = tensors_of(reply, f"later.{cut}")
        yield from ((cut, name, whole[name], later.get(name), False) for name in axes)
    in_training = tensors_of(reply, "trained.whole") if trained else {}
    alike = [name for name in axes if name in in_training and in_training[name].shape == whole[name].shape]
    for cut in (each for each in trained if isinstance(each, int)):
        later = tensors_of(reply, f"trained.later.{cut}")
        yield from ((cut, name, in_training[name], later.get(name), True) for name in alike)


def _listed(axes: Mapping[str, int], whole: Mapping[str, Tensor], length: int) -> str:
    def each(name: str, axis: int) -> str:
        factor = length // whole[name].shape[axis]
        return f"{name} (positions on axis {axis}" + (f", each of {factor} of the content)" if factor > 1 else ")")

    return ", ".join(each(name, axis) for name, axis in axes.items())


def _axes(whole: Mapping[str, Tensor], length: int, causal: Causal) -> dict[str, int]:
    """Return the axis of positions of each output that is judged, as the specs say or its length tells."""
    if causal.outputs is not None:  # the probe has refused those that are not there
        return {
            name: axis
            for name, axis in causal.outputs.items()
            if name in whole and axis < whole[name].dim() and _can_be_positions(whole[name].shape[axis], length)
        }
    if (
        causal.axis == 0 and length == BATCH_SIZE
    ):  # the samples of an output may stand on any axis, the first or another
        return {}
    told = {name: _axis_of_positions(each, length, 1 if causal.axis else 0) for name, each in whole.items()}
    return {name: axis for name, axis in told.items() if axis is not None}


def _can_be_positions(size: int, length: int) -> bool:
    """Whether an axis has a position for each of the content, or as a model that subsamples for each few of them."""
    return size == length or (size > 1 and length % size == 0)


def _axis_of_positions(output: Tensor, length: int, first: int) -> int | None:
    """Return the axis, from the `first` on, that is as long as the content; None where none is, or several are."""
    axes = [axis for axis in range(first, output.dim()) if output.shape[axis] == length]
    return axes[0] if len(axes) == 1 else None


def _moved(first: Tensor, second: Tensor, axis: int, cut: int) -> tuple[float, float]:
    """Return the largest difference before a position, and how much of one the order of sums could make there.

    A sum that runs over all positions, as a Fourier transform does, rounds as its largest term, which may stand later.
    """
    apart = (first.double() - second.double()).abs().narrow(axis, 0, cut)
    if bool(torch.isnan(apart).any()):
        return float("inf"), 0.0
    gap = float(apart.max()) if apart.numel() else 0.0
    if not gap or not first.is_floating_point():
        return gap, 0.0
    largest = max(float(each.double().nan_to_num(0.0, 0.0, 0.0).abs().max()) for each in (first, second))
    return gap, _ROUNDINGS * torch.finfo(first.dtype).eps * largest
