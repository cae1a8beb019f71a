"""A padded row says what it says without its padding."""

from collections.abc import Sequence

from torch import Tensor

from audit.catalog import Padding
from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.replies import table_of
from audit.results import Check, Severity
from validation.smoke.alike import ORIGIN, Gap, gaps, judge_gaps, moved_of
from validation.smoke.checks import determinism
from validation.smoke.compare import unusable
from validation.smoke.misdeclared import judge_misdeclared
from validation.smoke.model import RegisteredModel, tensors_of
from validation.smoke.positions import axes_of

CHECK = Check(
    id="smoke.padded_rows",
    title="A padded row says what it says alone",
    proves="Where `padding` is declared `removable`, every padded row of a batch has at its shown positions what it "
    "has alone and cut to these, as nearly as rounding allows.",
    defect="positions that are counted from the beginning of the padding",
    severity=Severity.MAJOR,
)
REQUIRES = (determinism.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare each padded row with the same row without its padding."""
    paddings = [each for each in model.entry.padding or [] if each.removable]
    if not paddings:
        return not_applicable("the specs declare no padding that is `removable`")
    found: list[Gap] = []
    by_mask: dict[tuple[str, bool], list[Padding]] = {}
    for padding in paddings:
        by_mask.setdefault((padding.mask, padding.keeps), []).append(padding)
    for together in by_mask.values():
        try:
            compared = _compared(model, run, *together)
        except TargetRaised as raised:
            return judge_misdeclared(model, run, "padding", raised)
        if isinstance(compared, Judgement):
            return compared
        found += compared
    return judge_gaps(
        found,
        origin=ORIGIN,
        otherwise="a row has other outputs without its padding",
        fix="count positions, and keep states, from the first position that the mask shows",
    )


def _compared(model: RegisteredModel, run: Run, padding: Padding, *beside: Padding) -> list[Gap] | Judgement:
    described, *others = (each.model_dump(exclude={"removable"}) for each in (padding, *beside))
    reply = model.call_on_batch(run, "model_padded_rows", padding=described, beside=list[Plain](others))
    whole, mask = tensors_of(reply, "whole"), tensors_of(reply, "mask").get("mask")
    if mask is None or mask.dim() != 2:
        raise ProbeFailure("the target's process sent a reply without a mask")
    if problem := unusable(whole):
        return error(f"no reference to compare with: {problem}")
    moved, told = moved_of(reply), table_of(reply, "axes")
    samples = {name: axes_of(each, name, mask, told).samples for name, each in whole.items()}
    found: list[Gap] = []
    for row in (row for row in range(len(mask)) if f"alone.{row}" in reply):
        alone = tensors_of(reply, f"alone.{row}")
        rows = [
            {
                name: _shown(each, samples[name], row, mask, alone[name].shape)
                for name, each in outputs.items()
                if name in samples and name in alone
            }
            for outputs in (whole, *moved)
        ]
        shown, *moved_rows = rows
        if odd := [name for name, each in shown.items() if alone[name].shape != each.shape]:
            return error(
                f"without its padding row {row} has another shape in {', '.join(odd)}, and which of their axes has the "
                f"positions of {padding.mask} is not told"
            )
        shown |= {name: each for name, each in whole.items() if name not in alone}
        found += gaps(shown, alone, moved_rows)
    return found or error(f"{padding.mask} hides a whole row or none: there is no row to take the padding from")


def _shown(output: Tensor, samples: int | None, row: int, mask: Tensor, alone: Sequence[int]) -> Tensor:
    """Return the output of one row at its shown positions, on each axis that is as long as these where it is `alone`.

    `samples` is the axis of samples; an output without one is that of all rows.
    """
    shown = output if samples is None else output.narrow(samples, row, 1)
    places = mask[row].nonzero()[:, 0]
    for axis, length in enumerate(output.shape):
        if axis != samples and length == mask.shape[1] and tuple(alone[axis : axis + 1]) == (len(places),):
            shown = shown.index_select(axis, places)
    return shown
