"""A masked key has no influence, and an unmasked one has."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import padding_mask, plain_case, with_mask
from audit.attention.properties.judging import DOCUMENTED_CALLS, TWO_RUNS_BOUND, judge_deviations, no_oracle
from audit.attention.subject import LENGTH, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Severity

CHECK = Check(
    id="attention.mask",
    title="Masked keys have no influence",
    proves="Replacing the content of masked keys (left and right padding) leaves the outputs of the kept queries "
    "unchanged, and replacing a kept key changes them.",
    defect="a key mask that is accepted and not used",
    severity=Severity.CRITICAL,
)


@dataclass(frozen=True, kw_only=True)
class _Probe:
    """A masked case, the same with other content under the mask, and with another kept key."""

    side: str
    masked: Case
    hidden_changed: Case
    kept_changed: Case
    kept: Tensor  # bool, (B, L): queries whose outputs are compared
    seeing: Tensor  # bool, (B, L): kept queries that may attend to the changed kept key


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Replace masked keys, then a kept one, under left and right padding."""
    if not subject.contract.key_mask:
        return not_applicable("the contract declares that there is no key mask")
    if not subject.has_oracle:
        return no_oracle(subject)
    generator = subject.generator(run.seed)
    probes = [_probe(subject, side, generator) for side in ("right", "left")]
    cases = [case for probe in probes for case in (probe.masked, probe.hidden_changed, probe.kept_changed)]
    deviations: list[tuple[str, Deviation]] = []
    for dtype in subject.contract.dtypes:
        try:
            answers = subject.forward(run, dtype, cases)
        except TargetRaised as raised:
            return judge_raised(raised, run.target, phases=DOCUMENTED_CALLS)
        for index, probe in enumerate(probes):
            masked, hidden, kept = (_by_position(o) for o in answers.outputs[3 * index : 3 * index + 3])
            bound = 2 * subject.allowance(answers.state, probe.masked, dtype)
            if distance(kept[probe.seeing], masked[probe.seeing]) <= bound < math.inf:
                return error("replacing a key that is not masked changed no output: nothing was tested")
            influence = distance(hidden[probe.kept], masked[probe.kept])
            deviations.append((dtype, Deviation(case=f"{probe.side} padding", error=influence, bound=bound)))
    return judge_deviations(
        deviations,
        origin=TWO_RUNS_BOUND,
        otherwise="outputs changed when the content of masked keys was replaced: {case}",
        fix="set the scores of masked keys to -inf before the softmax",
    )


def _by_position(output: Tensor) -> Tensor:
    """Return the output with batch and position in front: (B, L, ...)."""
    return output.transpose(1, 2) if output.dim() == 4 else output


def _probe(subject: AttentionSubject, side: str, generator: torch.Generator) -> _Probe:
    mask = padding_mask(side=side)
    whole = plain_case(subject, generator, is_causal=False)
    masked = with_mask(subject, whole, mask, f"{side} padding")
    first_kept = int(mask[0].nonzero()[0])
    changed = torch.zeros_like(mask)
    changed[:, first_kept] = True
    later = torch.arange(LENGTH) > first_kept
    return _Probe(
        side=side,
        masked=masked,
        hidden_changed=_replaced(masked, ~mask, generator),
        kept_changed=_replaced(masked, changed, generator),
        kept=mask,
        seeing=mask & later,
    )


def _replaced(case: Case, where: Tensor, generator: torch.Generator) -> Case:
    """Return the case with other content at the positions `where` (B, L); queries of a function stay.

    Values become as many times larger as there are tokens, so that one alone shows in an average over all.
    """
    tensors: dict[str, Tensor] = {}
    for name in ("hidden_states", "key", "value"):
        if name in case.tensors:
            tensor = case.tensors[name].clone()
            rows = tensor if name == "hidden_states" else tensor.transpose(1, 2)
            size = LENGTH if name == "value" else 1
            rows[where] = size * torch.randn(rows[where].shape, generator=generator, dtype=rows.dtype)
            tensors[name] = tensor
    return case.replaced(case.name, **tensors)
