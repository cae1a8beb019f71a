"""Logits whose exponential leaves float32 neither overflow nor bring masked keys back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from audit.attention.bounds import Deviation
from audit.attention.cases import MANY, key_length, plain_case, with_mask
from audit.attention.properties.judging import (
    DOCUMENTED_CALLS,
    ORACLE_BOUND,
    against_oracle,
    judge_deviations,
    no_oracle,
)
from audit.attention.properties.shifted_logits import FAR, shifted
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, not_applicable
from audit.plan import Run
from audit.raised import HOW_ATTENTION_IS_CALLED, judge_raised
from audit.results import Check, Severity

CHECK = Check(
    id="attention.large_logits",
    title="Large logits neither overflow nor bring masked keys back",
    proves="Where a query may attend to one key only, the output equals the oracle's though the exponential of that "
    "key's logit leaves the range of float32, upwards or downwards; of a function without an oracle, adding one number "
    "to all logits of a query changes nothing, however large it is.",
    defect="a softmax that does not subtract the maximum of each row",
    severity=Severity.CRITICAL,
)


@dataclass(frozen=True, kw_only=True)
class _Extreme:
    """A case with queries that see one key each, and the sign of the large logit that one of these is to have.

    Whatever that logit is, the key has all the weight: the oracle's answer does not depend on it, nor does the bound.
    Only the outputs at the first positions are compared, or all.
    """

    case: Case
    sign: int
    first: int | None = None


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Make the inputs so large that a logit of either sign is, and compare with the oracle."""
    if not subject.has_oracle:
        return shifted(subject, run) if subject.is_function and not subject.is_declared else no_oracle(subject)
    contract = subject.contract
    if contract.soft_cap or contract.sinks or contract.feature_map:
        return not_applicable("the contract declares a cap, sinks or linear attention: no key has all the weight")
    extremes = list(_extremes(subject, subject.generator(run.seed)))
    deviations: list[tuple[str, Deviation]] = []
    for dtype in subject.contract.dtypes:
        try:
            state = subject.state(run, dtype)
            grown = [each for each in (_grown(subject, state, extreme) for extreme in extremes) if each]
            if not grown:
                return error("the contract's logits do not grow with the input: nothing was tested")
            answers = subject.forward(run, dtype, [each.case for each in grown])
        except TargetRaised as raised:
            return judge_raised(raised, run.target, phases=DOCUMENTED_CALLS, called=HOW_ATTENTION_IS_CALLED)
        for each, output in zip(grown, answers.outputs, strict=True):
            deviation = against_oracle(subject, answers.state, each.case, output, dtype, first=each.first)
            deviations.append((dtype, deviation))
    return judge_deviations(
        deviations,
        origin=ORACLE_BOUND,
        otherwise="output differs from the float64 oracle in case '{case}'",
        fix="subtract each row's maximum before the exponential, and set the scores of masked keys to -inf",
    )


def _extremes(subject: AttentionSubject, generator: torch.Generator) -> Iterator[_Extreme]:
    token, name = plain_case(subject, generator, length=1, batch=MANY), "one token"
    if "context" in token.tensors:
        token, name = token.replaced("", context=token.tensors["context"][:, :1]), "a context of one token"
    yield _Extreme(case=token.replaced(f"{name}, its logit {FAR:.0f}"), sign=1)
    if subject.contract.is_causal:
        causal = plain_case(subject, generator, is_causal=True, batch=MANY)
        yield _Extreme(case=causal.replaced(f"the first token's logit -{FAR:.0f}"), sign=-1, first=1)
    if subject.contract.key_mask:
        whole = plain_case(subject, generator, is_causal=False, batch=MANY)
        mask = torch.zeros(MANY, key_length(whole), dtype=torch.bool)
        mask[:, 0] = True
        yield _Extreme(case=with_mask(subject, whole, mask, f"one key kept, its logit -{FAR:.0f}"), sign=-1)


def _grown(subject: AttentionSubject, state: Mapping[str, Tensor], extreme: _Extreme) -> _Extreme | None:
    """Return the same with its inputs multiplied by the least factor that makes a logit large; None where none does."""
    _, allowed = subject.logits(state, extreme.case)
    alone = allowed & (allowed.sum(dim=-1, keepdim=True) == 1)
    # Logits are quadratic in the factor: square * f^2 + linear * f + constant.
    constant, ahead, behind = (
        extreme.sign * subject.logits(state, _times(extreme.case, factor))[0] for factor in (0.0, 1.0, -1.0)
    )
    square, linear = (ahead + behind) / 2 - constant, (ahead - behind) / 2
    factors = ((linear**2 + 4 * square * (FAR - constant)).sqrt() - linear) / (2 * square)
    factors = factors[alone & (square > 0) & (factors > 0)]
    return replace(extreme, case=_times(extreme.case, float(factors.min()))) if factors.numel() else None


def _times(case: Case, factor: float) -> Case:
    names = ("hidden_states", "context", "query", "key")
    grown = {name: case.tensors[name] * factor for name in names if name in case.tensors}
    return case.replaced(case.name, **grown)
