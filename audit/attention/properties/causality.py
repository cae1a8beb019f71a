"""A later token does not change an earlier output."""

import math
from collections.abc import Iterator

import torch

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import plain_case
from audit.attention.properties.judging import DOCUMENTED_CALLS, TWO_RUNS_BOUND, judge_deviations, no_oracle
from audit.attention.subject import LENGTH, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Severity

CHECK = Check(
    id="attention.causality",
    title="Later tokens do not change earlier outputs",
    proves="Replacing every token from a position on leaves the outputs before it unchanged, and changes those after.",
    defect="a causal mask whose diagonal is shifted by one, so that each token sees the next",
    severity=Severity.CRITICAL,
)

_POSITIONS = (1, LENGTH // 2, LENGTH - 1)


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Replace the tokens from several positions on and compare the outputs before each."""
    if not subject.contract.is_causal:
        return not_applicable("the contract declares is_causal = False")
    if not subject.has_oracle:
        return no_oracle(subject)
    generator = subject.generator(run.seed)
    case = plain_case(subject, generator, is_causal=True)
    others = [_replaced_from(case, position, generator) for position in _POSITIONS]
    deviations: list[tuple[str, Deviation]] = []
    for dtype in subject.contract.dtypes:
        try:
            answers = subject.forward(run, dtype, [case, *others])
        except TargetRaised as raised:
            return judge_raised(raised, run.target, phases=DOCUMENTED_CALLS)
        bound = 2 * subject.allowance(answers.state, case, dtype)
        first, *rest = answers.outputs
        for position, output in zip(_POSITIONS, rest, strict=True):
            if distance(output[..., position:, :], first[..., position:, :]) <= bound < math.inf:
                return error(f"replacing every token from position {position} on changed no output: nothing was tested")
            earlier = distance(output[..., :position, :], first[..., :position, :])
            deviations.append((dtype, Deviation(case=f"tokens from {position} on", error=earlier, bound=bound)))
    return judge_deviations(
        deviations,
        origin=TWO_RUNS_BOUND,
        otherwise="an earlier output changed when later tokens were replaced: {case}",
        fix="mask the scores so that query i sees keys up to i + (Lk - Lq) only",
    )


def _replaced_from(case: Case, position: int, generator: torch.Generator) -> Case:
    """Return the case with other tokens from `position` on; queries stay, for they are not what may leak.

    Values become as many times larger as there are tokens, so that one alone shows in an average over all.
    """

    def changed() -> Iterator[tuple[str, torch.Tensor]]:
        for name in ("hidden_states", "key", "value"):
            if name in case.tensors:
                tensor = case.tensors[name].clone()
                later = tensor[..., position:, :]
                size = LENGTH if name == "value" else 1
                later.copy_(size * torch.randn(later.shape, generator=generator, dtype=later.dtype))
                yield name, tensor

    return case.replaced(f"tokens from {position} on", **dict(changed()))
