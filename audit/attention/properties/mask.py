"""A masked key has no influence, and an unmasked one has."""

from dataclasses import dataclass

import torch
from torch import Tensor

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import key_length, padding_mask, plain_case, replaced_keys, with_mask
from audit.attention.properties.judging import call_raised, joining_layers, judge_deviations
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import BATCH_SIZE, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.mask",
    title="Masked keys have no influence",
    proves="Replacing the content of masked keys (left and right padding, and under a mask for each window of several "
    "images) leaves the outputs of the kept queries unchanged, and replacing a kept key changes them.",
    defect="a key mask that is accepted and not used",
    severity=Severity.CRITICAL,
)


@dataclass(frozen=True, kw_only=True)
class _Probe:
    """A masked case, the same with other content under the mask, with another kept key, and without the mask."""

    side: str
    cases: tuple[Case, Case, Case, Case]
    padded: Tensor  # bool, (B, 1): samples that have padding
    kept: Tensor  # bool, (B, Lq): queries whose outputs are compared
    seeing: Tensor  # bool, (B, Lq): kept queries that may attend to the changed kept key


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Replace masked keys, then a kept one, under left and right padding."""
    if not subject.contract.key_mask:
        return not_applicable(subject.why_no_mask)
    generator = subject.generator(run.seed)
    probes = [_probe(subject, side, generator) for side in ("right", "left")]
    if "window masks" in subject.claims:
        probes.append(_of_windows(subject, generator))
    cases = [case for probe in probes for case in probe.cases]
    deviations: list[tuple[str, Deviation]] = []
    known = ""
    for dtype in subject.contract.dtypes:
        try:
            # Without an oracle on the case without a mask: what queries that see nothing give need not be a number.
            runs = compared(subject, run, dtype, cases, bounded=range(0 if subject.has_oracle else 3, len(cases), 4))
        except TargetRaised as raised:
            return call_raised(subject, run, raised)
        for index, (probe, bound) in enumerate(zip(probes, runs.bounds, strict=True)):
            masked, hidden, kept, whole = (_by_position(output) for output in runs.outputs[4 * index : 4 * index + 4])
            influence = distance(hidden[probe.kept], masked[probe.kept])
            padded = probe.seeing & probe.padded
            moves = distance(kept[padded], masked[padded]) > bound
            if influence <= bound and not moves:
                return error("replacing a key that is not masked changed no output: nothing was tested")
            if influence > bound:
                ignored = distance(masked[padded], whole[padded]) <= bound
                known = "a mask that is accepted and then ignored" if ignored else known
                known = known if moves else "an inverted mask: kept keys have no influence"
            deviations.append((dtype, Deviation(case=probe.side, error=influence, bound=bound)))
    holds = all(deviation.holds for _, deviation in deviations)
    if not holds and not subject.is_declared and (layers := joining_layers(subject)):
        return not_applicable(f"undeclared: whether masked tokens may have influence through its {layers}")
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise="outputs changed when the content of masked keys was replaced"
        + (f", as with {known}" if known else "")
        + ": {case}",
        fix="set the scores of masked keys to -inf before the softmax",
    )


def _of_windows(subject: AttentionSubject, generator: torch.Generator) -> _Probe:
    """Return two images of two windows each, the first window of each image padded by the mask of that window."""
    whole = plain_case(subject, generator, batch=2 * BATCH_SIZE)
    mask = padding_mask(side="right", length=key_length(whole))
    masked = with_mask(subject, whole, mask, "two windows")
    of_each = torch.cat((mask, mask))
    changed = torch.zeros_like(of_each)
    changed[:, 0] = True
    return _Probe(
        side="a mask for each of two windows",
        padded=torch.tensor([[True], [False]] * BATCH_SIZE),
        cases=(masked, replaced_keys(masked, ~of_each, generator), replaced_keys(masked, changed, generator), whole),
        kept=of_each,
        seeing=of_each & (torch.arange(key_length(whole)) > 0),
    )


def _by_position(output: Tensor) -> Tensor:
    """Return the output with batch and position in front: (B, L, ...)."""
    return output.transpose(1, 2) if output.dim() == 4 else output


def _probe(subject: AttentionSubject, side: str, generator: torch.Generator) -> _Probe:
    whole = plain_case(subject, generator, is_causal=False)
    mask = padding_mask(side=side, length=key_length(whole))
    masked = with_mask(subject, whole, mask, f"{side} padding")
    first_kept = int(mask[0].nonzero()[0])
    changed = torch.zeros_like(mask)
    changed[:, first_kept] = True
    later = torch.arange(key_length(whole)) > first_kept
    every = torch.ones(mask.shape[0], whole.inputs.shape[-2], dtype=torch.bool)
    across = subject.contract.context_dim is not None  # then the queries are others than the keys, and none is padded
    return _Probe(
        side=f"{side} padding",
        padded=torch.tensor([[True], [False]]),
        cases=(masked, replaced_keys(masked, ~mask, generator), replaced_keys(masked, changed, generator), whole),
        kept=every if across else mask,
        seeing=every if across else mask & later,
    )
