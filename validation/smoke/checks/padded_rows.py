"""A padded row says what it says without its padding."""

from collections.abc import Sequence
from dataclasses import replace

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
from validation.smoke.model import RegisteredModel, listed, tensors_of
from validation.smoke.named_outputs import FIX_OF_OUTPUTS, UntoldError, named_axes, spans_of
from validation.smoke.padding_batches import described, number_of_batches
from validation.smoke.positions import axes_of

CHECK = Check(
    id="smoke.padded_rows",
    title="A padded row says what it says alone",
    proves="Where `padding` is declared `removable`, every padded row of a batch, and of four where there are lengths "
    "or `outputs`, has at its shown positions what it has alone and cut to these, as nearly as rounding allows. "
    "Outputs without an axis of samples are left out unless `outputs` names them as rows one after another.",
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
    left_out: dict[str, None] = {}
    lengths: set[int] = set()
    by_mask: dict[tuple[str, bool], list[Padding]] = {}
    for padding in paddings:
        by_mask.setdefault((padding.mask, padding.keeps), []).append(padding)
    for together in by_mask.values():
        of_mask: list[Gap] = []
        lengths_of_mask: set[int] = set()
        for batch in range(number_of_batches(together)):
            try:
                compared = _compared(model, run, batch, left_out, lengths_of_mask, *together)
            except TargetRaised as raised:
                return judge_misdeclared(model, run, "padding", raised)
            except UntoldError as untold:
                return error(f"in 'padding', 'outputs': {untold}", fix=FIX_OF_OUTPUTS)
            if isinstance(compared, Judgement):
                return compared
            of_mask += compared
        if not lengths_of_mask:
            mask = together[0].mask
            return error(f"{mask} hides a whole row or none: there is no row to take the padding from")
        if not of_mask:
            return error(f"no output has an axis of samples, so none is that of a row: {listed(left_out)}")
        found += of_mask
        lengths |= lengths_of_mask
    of_lengths = f"rows of {listed(map(str, sorted(lengths)))} positions"
    whole_batch = f"; of no single row, and left out: {listed(left_out)}" if left_out else ""
    return judge_gaps(
        found,
        origin=f"{ORIGIN}; {of_lengths}{whole_batch}",
        otherwise="a row has other outputs without its padding",
        fix="count positions, and keep states, from the first position that the mask shows, and take means, sums and "
        "maxima over the positions that it shows alone; in front of each convolution hide what is hidden again",
    )


def _compared(
    model: RegisteredModel,
    run: Run,
    batch: int,
    left_out: dict[str, None],
    lengths: set[int],
    padding: Padding,
    *beside: Padding,
) -> list[Gap] | Judgement:
    """Return the gaps of all rows of a batch that have padding.

    `left_out` gets the outputs that belong to no row, and `lengths` how many positions the rows have without it.
    """
    first, *others = (described(each, batch) for each in (padding, *beside))
    reply = model.call_on_batch(
        run, "model_padded_rows", seed=run.seed + batch, padding=first, beside=list[Plain](others)
    )
    whole, mask = tensors_of(reply, "whole"), tensors_of(reply, "mask").get("mask")
    if mask is None or mask.dim() != 2:
        raise ProbeFailure("the target's process sent a reply without a mask")
    if problem := unusable(whole):
        return error(f"no reference to compare with: {problem}")
    moved, told = moved_of(reply), table_of(reply, "axes")
    samples = {name: axes_of(each, name, mask, told).samples for name, each in whole.items()}
    spans = {
        name: spans_of(whole[name], name, axis, samples=samples[name], kept=mask, reply=reply, key="rows")
        for name, axis in named_axes((padding, *beside)).items()
        if name in whole
    }
    found: list[Gap] = []
    for row in (each for each in range(len(mask)) if f"alone.{each}" in reply):
        alone = tensors_of(reply, f"alone.{row}")
        rows = [
            {
                name: spans[name].of_row(each, row)
                if name in spans
                else _shown(each, samples[name], row, mask, alone[name].shape)
                for name, each in outputs.items()
                if name in samples and name in alone
            }
            for outputs in (whole, *moved)
        ]
        shown, *moved_rows = rows
        shown |= {name: each for name, each in whole.items() if name not in alone}
        of_batch = [
            name
            for name, each in shown.items()
            if samples[name] is None and name not in spans and _is_of_no_row(each, alone.get(name), samples=len(mask))
        ]
        left_out |= dict.fromkeys(of_batch)
        shown = {name: each for name, each in shown.items() if name not in of_batch}
        if odd := [name for name, each in shown.items() if name in alone and alone[name].shape != each.shape]:
            return error(
                f"without its padding row {row} has another shape in {', '.join(odd)}, and which of their axes has the "
                f"positions of {padding.mask} is not told",
                fix="where an output has other positions than the content, as of a model that subsamples, name it in "
                "`padding`: 'outputs': {NAME: AXIS}",
            )
        length = int(mask[row].sum())
        lengths.add(length)
        found += [replace(gap, name=f"{gap.name} of a row of {length}") for gap in gaps(shown, alone, moved_rows)]
    return found


def _is_of_no_row(output: Tensor, alone: Tensor | None, *, samples: int) -> bool:
    """Whether an output without one axis of samples is that of the batch, as a loss that balances experts is.

    It is as large for one sample, or has more than one axis of samples, as what compares each with each.
    """
    if alone is None or alone.shape == output.shape:
        return True
    return tuple(1 if length == samples else length for length in output.shape) == tuple(alone.shape)


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
