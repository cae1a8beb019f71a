"""From deviations to a judgement, in the words that all properties share."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from audit.attention.bounds import Deviation, distance, is_constant, worst
from audit.attention.contract import Dtype
from audit.attention.plain import ORDERS
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable, skipped
from audit.plan import Run
from audit.raised import HOW_ATTENTION_IS_CALLED, describe_raised, judge_raised, location_of

ORACLE_BOUND = (
    f"3 x the largest error of the plain {{dtype}} computation in {len(ORDERS)} orders of operations against float64, "
    "plus 2 x the rounding of the result"
)
TWO_RUNS_BOUND = (
    "twice that of one run, because two runs of a correct implementation may each err by it: " + ORACLE_BOUND
)
_MAX_LISTED = 6
UNDECLARED = "undeclared: sizes, projections or causality could not be inferred, so there is no oracle"
# What of torch's layers joins tokens, or with them their neighbours, beside any attention.
_JOINING = ("GroupNorm", "InstanceNorm", "LocalResponseNorm", "Conv", "Pool", "Fold", "Unfold", "RNN", "LSTM", "GRU")
NOT_FINITE = "no usable reference: the output for normal inputs is not finite"
SAME_OUTPUT = "every token has the same output, whatever the input"
NO_ORACLE = "the contract does not name the module's projections, so there is no oracle to derive a bound from"
TWO_COUNTS = (
    "the contract has a context_dim and what depends on positions (is_causal, rotary_base, window or alibi_slopes), "
    "and does not say how those of the two sequences meet, so there is no oracle to derive a bound from"
)

# An exception in one of these is the subject's own; one while it is built says nothing about the property.
DOCUMENTED_CALLS = ("forward", "decode", "backward")


def against_oracle(
    subject: AttentionSubject,
    state: Mapping[str, Tensor],
    case: Case,
    output: Tensor,
    dtype: Dtype,
    *,
    first: int | None = None,
) -> Deviation:
    """Return how far the output is from the oracle's, after a look at whether that can tell right from wrong.

    Args:
        subject: what was run.
        state: its weights.
        case: what it was run on.
        output: what it returned.
        dtype: in which it was run.
        first: how many positions are compared; all when left out.
    """
    sent = subject.as_sent(case, dtype)
    truth, again = (subject.reference(state, sent)[..., :first, :] for _ in range(2))
    bound = subject.allowance(state, case, dtype, first=first) + (subject.contract.approximation_error or 0.0)
    blind = None
    if not math.isfinite(bound):
        blind = "the oracle or the plain computation is not finite"
    elif not distance(again, truth) <= bound:
        blind = "the oracle computes something else in a second run"
    elif is_constant(truth, bound):
        blind = "the oracle's answer is the same for every token, so that a constant output would pass"
    return Deviation(case=case.name, error=distance(output[..., :first, :], truth), bound=bound, blind=blind)


def judge_deviations(
    deviations: Sequence[tuple[str, Deviation]], *, origin: str, otherwise: str, fix: str | None = None
) -> Judgement:
    """Judge the deviation that is largest in units of its bound.

    Args:
        deviations: pairs of dtype and deviation.
        origin: of the bound, with a place for the dtype.
        otherwise: the reason of a failure, with a place for the case.
        fix: what to do about a failure.
    """
    finite = [(dtype, deviation) for dtype, deviation in deviations if math.isfinite(deviation.bound)]
    if all(deviation.holds for _, deviation in finite):
        for dtype, deviation in deviations:
            if deviation.blind or not math.isfinite(deviation.bound):
                why = deviation.blind or "the plain computation itself is not finite"
                return error(f"no usable reference in case '{deviation.case}' in {dtype}: {why}")
    deviations = finite
    top = worst([deviation for _, deviation in deviations])
    dtype = next(dtype for dtype, deviation in deviations if deviation is top)
    measured = Measured(value=top.error, bound=top.bound, origin=origin.format(dtype=dtype), unit="max abs difference")
    wrong = [f"{deviation.case} in {each}" for each, deviation in deviations if not deviation.holds]
    listed = "; ".join(wrong[:_MAX_LISTED]) + (f"; {len(wrong) - _MAX_LISTED} more" if len(wrong) > _MAX_LISTED else "")
    reason = f"{otherwise.format(case=top.case)} ({len(wrong)} of {len(deviations)} cases: {listed})"
    return judged(measured, otherwise=reason, fix=fix)


def call_raised(subject: AttentionSubject, run: Run, raised: TargetRaised) -> Judgement:
    """Fail where specs declare the call that raised; a call that was guessed may be wrong itself, so it is an error."""
    if not subject.is_declared:
        return judge_raised(raised, run.target, phases=(), called=None)
    return judge_raised(raised, run.target, phases=DOCUMENTED_CALLS, called=HOW_ATTENTION_IS_CALLED)


def long_call_raised(subject: AttentionSubject, run: Run, raised: TargetRaised, *, length: int) -> Judgement:
    """What is said where so many tokens raise and few do not: a declared length is a promise, and none is a question.

    Tables of positions and of masks are made for some length, which only the contract tells.
    """
    is_documented = raised.phase in DOCUMENTED_CALLS and not raised.is_of_the_machine and not raised.is_of_the_specs
    if not subject.is_declared or subject.contract.max_length is not None or not is_documented:
        return call_raised(subject, run, raised)
    return error(
        f"the contract declares no max_length, and with {length} tokens {describe_raised(raised, run.target)}, though "
        "with few it does not",
        location=location_of(raised, run.target),
        fix="declare `max_length`, the longest sequence that it takes, or take longer ones",
    )


def no_reference(output: Tensor, bound: float, *, may_be_constant: bool = False) -> Judgement | None:
    """Return why nothing can be told from comparisons with this output; None where something can."""
    if not bool(torch.isfinite(output).all()) or not math.isfinite(bound):
        return not_finite(output)
    if not may_be_constant and is_constant(output, bound):
        return error(f"no usable reference: {SAME_OUTPUT}: nothing was tested")
    return None


def not_finite(output: Tensor) -> Judgement:
    """Return what is said of an output without numbers: at which positions, where it has some at others."""
    return error(NOT_FINITE + _at_positions(output))


def _at_positions(output: Tensor) -> str:
    finite = torch.isfinite(output).all(dim=-1).flatten(0, -2).all(dim=0)
    without = (~finite).nonzero().flatten().tolist()
    if not without or len(without) == len(finite):
        return ""
    if without == [len(finite) - 1]:
        return " at the last position, and is at the others"
    return f" at {len(without)} of {len(finite)} positions: {', '.join(map(str, without[:_MAX_LISTED]))}"


def joining_layers(subject: AttentionSubject) -> str | None:
    """Return the layers of the module that was built which join tokens beside its attention; None where none does."""
    names = (name for name in subject.built.layers if not name.startswith("_") and not name.endswith("Base"))
    return ", ".join(sorted(name for name in names if any(part in name for part in _JOINING))) or None


def no_oracle(subject: AttentionSubject) -> Judgement:
    """What a property says that the oracle has no part in: what specs declare was not verified, and cannot be ready.

    Of a mechanism that was found without specs nothing was promised.
    """
    if subject.is_declared and subject.joins_positions and subject.contract.projections is not None:
        return skipped(TWO_COUNTS)
    return skipped(NO_ORACLE) if subject.is_declared else not_applicable(UNDECLARED)
