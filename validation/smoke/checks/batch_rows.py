"""A batch of one gives the row that the sample has in a batch."""

import torch
from torch import Tensor

from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, failed
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of
from audit.results import Check, Severity
from validation.smoke.alike import ORIGIN, Gap, gaps, inseparable, judge_gaps, moved_of
from validation.smoke.checks import output_forms
from validation.smoke.compare import unusable
from validation.smoke.model import BATCH_SIZE, RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.batch_rows",
    title="A batch of one equals the row of a batch",
    proves="In eval mode each sample of a batch, given alone, gives the outputs that it has in the batch, as nearly as "
    "rounding allows.",
    defect="a mean over the batch that is taken from the features",
    severity=Severity.CRITICAL,
)
REQUIRES = (output_forms.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare each row of a batch with the output of its sample alone."""
    try:
        reply = model.call_on_batch(run, "model_rows")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward",))
    if judgement := inseparable(reply):
        return judgement
    whole = tensors_of(reply, "whole")
    if problem := unusable(whole):
        return error(f"no reference to compare with: {problem}")
    moved = moved_of(reply)
    found: list[Gap] = []
    for index in range(BATCH_SIZE):
        alone = tensors_of(reply, f"alone.{index}")
        items = names_of(reply, f"items.{index}")  # in their order, by which the first of equals is told
        axes = {name: _batch_axis(tensor, alone.get(name)) for name, tensor in whole.items() if name not in items}
        rows = {name: _row(whole[name], axis, index) for name, axis in axes.items() if axis is not None}
        rows |= {name: whole[name] for name in items if name in whole}
        rows_moved = [
            {name: _row(each[name], axes.get(name), index) for name in rows if _is_like(each.get(name), whole[name])}
            for each in moved
        ]
        found += gaps(rows, alone, rows_moved)
    if not found:
        return failed("no output of one sample has the shape of a row of the batch")
    return judge_gaps(
        found,
        origin=ORIGIN,
        otherwise="a sample alone gives another output than in a batch",
        fix="compute nothing over the axis of the batch in eval mode",
    )


def _batch_axis(whole: Tensor, alone: Tensor | None) -> int | None:
    """Return the axis along which the batch has samples and one sample has one entry; None where there is none."""
    if alone is None or alone.dim() != whole.dim():
        return None
    differing = [axis for axis in range(whole.dim()) if whole.shape[axis] != alone.shape[axis]]
    if len(differing) != 1:
        return None
    axis = differing[0]
    return axis if whole.shape[axis] == BATCH_SIZE and alone.shape[axis] == 1 else None


def _is_like(tensor: Tensor | None, other: Tensor) -> bool:
    return tensor is not None and tensor.shape == other.shape


def _row(tensor: Tensor, axis: int | None, index: int) -> Tensor:
    """Return what belongs to a sample: its row, or all where the tensor stands in a list with one item for each."""
    return tensor if axis is None else torch.narrow(tensor, axis, index, 1)
