"""Views that are not contiguous give the outputs of their copies."""

import torch
from torch import Tensor

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import key_length, padding_mask, plain_case, sample_of, with_mask
from audit.attention.properties.judging import call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import BATCH_SIZE, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.raised import describe_raised
from audit.results import Check, Severity

CHECK = Check(
    id="attention.noncontiguous",
    title="Non-contiguous inputs give the same output",
    proves="Inputs and masks that are transposed, sliced, stepped or expanded views give the outputs of their copies.",
    defect="memory read in its order, whatever the strides",
    severity=Severity.CRITICAL,
)

_LAYOUTS = ("transposed", "sliced", "stepped")


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare views with copies of the same numbers."""
    plain = plain_case(subject, subject.generator(run.seed))
    repeated = sample_of(plain, *[0] * BATCH_SIZE)
    pairs = [(0, plain.under(layout, layout=layout)) for layout in _LAYOUTS]
    pairs.append((1, repeated.under("expanded", layout="expanded")))
    copies = [plain, repeated]
    if subject.contract.key_mask:
        mask = padding_mask(side="right", length=key_length(plain))
        copies.append(with_mask(subject, plain, mask, "right padding"))
        pairs += [(2, copies[2].under(f"{layout}, right padding", layout=layout)) for layout in _LAYOUTS]
    dtype = subject.finest_dtype
    try:
        runs = compared(subject, run, dtype, [*copies, *(case for _, case in pairs)])
        found = dict(zip((case.name for _, case in pairs), runs.outputs[len(copies) :], strict=True))
    except TargetRaised:
        try:
            runs = compared(subject, run, dtype, copies)
        except TargetRaised as raised:
            return call_raised(subject, run, raised)
        found, refused = _accepted(subject, run, [case for _, case in pairs])
        if not found:
            return not_applicable(f"it refuses inputs that are not contiguous: {refused}")
    if trouble := no_reference(runs.outputs[0], runs.bound):
        return trouble
    deviations: list[tuple[str, Deviation]] = []
    for copy, case in pairs:
        if case.name in found:
            # Padded queries are nobody's.
            kept = slice(None) if subject.contract.context_dim else case.tensors.get("key_mask", slice(None))
            view, of_copy = found[case.name][kept], runs.outputs[copy][kept]
            # Where a copy gives no number, as under a mask that hides every key, strides are not what is wrong.
            is_number = torch.isfinite(of_copy)
            if is_number.any():
                apart = distance(view[is_number], of_copy[is_number])
                deviations.append((dtype, Deviation(case=case.name, error=apart, bound=runs.bound)))
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise="views that are not contiguous give another output than their copies: {case}",
        fix="use `reshape` or `.contiguous()`, and no `as_strided` or pointer that takes strides for granted",
    )


def _accepted(subject: AttentionSubject, run: Run, cases: list[Case]) -> tuple[dict[str, Tensor], str]:
    """Return the outputs of the cases that do not raise, by their names, and what the last of the others raises.

    To refuse strides is no mistake; to take them and compute something else is.
    """
    outputs: dict[str, Tensor] = {}
    refused = ""
    for case in cases:
        try:
            outputs[case.name] = subject.forward(run, subject.finest_dtype, [case], opened=True).outputs[0]
        except TargetRaised as raised:
            refused = describe_raised(raised, run.target)
    return outputs, refused
