"""Over a thousand keys, in low precision, the output equals that of the oracle."""

import math

from audit.attention.bounds import Deviation, allowance, distance, is_constant
from audit.attention.cases import plain_case, sample_of
from audit.attention.contract import Contract, Dtype
from audit.attention.plain import ORDERS, Scaled
from audit.attention.properties.judging import (
    against_oracle,
    call_raised,
    judge_deviations,
    long_call_raised,
    no_oracle,
)
from audit.attention.subject import DTYPES, AttentionSubject, Case, too_short
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.long_sequences",
    title="Long inputs in low precision equal the oracle",
    proves="Over more than a thousand keys, or as many above 256 as memory and `max_length` leave room for, in "
    "bfloat16, or else in float16, the output is that of float64 as nearly as the plain computation is.",
    defect="a sum over the keys that is kept in bfloat16",
    severity=Severity.MAJOR,
)

# Above 256 a bfloat16 is no whole number any more, and a sum of as many equal terms comes to a halt there.
_HALT = 256
_LONG, _SHORTER = 1031, 521
_QUERIES = 64  # that are compared: the last ones, which see all keys and stand farthest from the first position
_MOST_LOGITS = 2**24  # of all heads: 128 MiB in float64, of which a few are held at a time
_LOW: tuple[Dtype, ...] = ("bfloat16", "float16")
# With this many terms two orders show the largest error, as in the tests of flash-attention.
_ORDERS = tuple(next(each for each in ORDERS if each.scaled is scaled) for scaled in (Scaled.PRODUCT, Scaled.QUERY))
_BOUND = (
    "3 x the larger error of the plain {dtype} computation with the scale before and after the product of queries and "
    "keys, plus 2 x the rounding of the result"
)


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare one long input with the oracle in each low precision."""
    wanted = [dtype for dtype in _LOW if not subject.is_declared or dtype in subject.contract.dtypes]
    if not wanted:
        return not_applicable("the contract declares no dtype below float32")
    if not subject.has_oracle:
        return no_oracle(subject)
    length = subject.contract.within(_LONG if subject.contract.heads * _LONG**2 <= _MOST_LOGITS else _SHORTER)
    if length <= _HALT:
        return too_short(subject.contract, f"no sum over keys has more than {_HALT} terms")
    # Of what was guessed, only some batch sizes were seen to work.
    batch = 1 if subject.is_declared else 2
    case = plain_case(subject, subject.generator(run.seed), length=length, batch=batch).replaced(f"{length} tokens")
    short = plain_case(subject, subject.generator(run.seed))
    try:
        near = subject.forward(run, subject.finest_dtype, [short])
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    apart = against_oracle(subject, near.state, short, near.outputs[0], subject.finest_dtype)
    if not apart.holds:
        return not_applicable("short inputs in float32 differ from the oracle as well, which attention.oracle compares")
    compared = _compared(subject, case)
    deviations: list[tuple[str, Deviation]] = []
    for dtype in wanted:
        try:
            answers = subject.forward(run, dtype, [case])
        except TargetRaised as raised:
            if subject.is_declared:
                return _refused(subject, run, raised, dtype, short, length)
            continue  # it takes no input as long, or not this dtype, and says so
        sent, contract = subject.as_sent(compared, dtype), _ending_together(subject.contract)
        truth = subject.reference(answers.state, sent, contract=contract)[..., -_QUERIES:, :]
        plain = [
            subject.reference(answers.state, sent, dtype=DTYPES[dtype], order=order, contract=contract)[
                ..., -_QUERIES:, :
            ]
            for order in _ORDERS
        ]
        bound = allowance(truth, *plain)
        blind = "every token has the same output" if math.isfinite(bound) and is_constant(truth, bound) else None
        error = distance(answers.outputs[0][:1, ..., -_QUERIES:, :], truth)
        deviations.append((dtype, Deviation(case=case.name, error=error, bound=bound, blind=blind)))
        break  # one tells: the other rounds elsewhere, and no sum over keys is right in one alone
    if not deviations:
        return not_applicable("undeclared: whether it takes long inputs in low precision; observed: it refuses them")
    return judge_deviations(
        deviations,
        origin=_BOUND,
        otherwise="the output is farther from the float64 oracle than rounding explains, as where sums over keys or "
        "rotary angles are kept in low precision: {case}",
        fix="keep logits, sums and angles in float32, and round their results",
    )


def _refused(
    subject: AttentionSubject, run: Run, raised: TargetRaised, dtype: Dtype, short: Case, length: int
) -> Judgement:
    """Tell a length that is refused from a dtype that is."""
    try:
        subject.forward(run, dtype, [short])
    except TargetRaised as any_length:
        return call_raised(subject, run, any_length)
    return long_call_raised(subject, run, raised, length=length)


def _compared(subject: AttentionSubject, case: Case) -> Case:
    """Return what the reference is computed of: the first sample, and of a function its last queries."""
    first = sample_of(case, 0)
    if not subject.is_function:
        return first
    return first.replaced(case.name, query=first.tensors["query"][..., -_QUERIES:, :])


def _ending_together(contract: Contract) -> Contract:
    """Return the contract under which fewer queries are the last ones, as those that are compared are."""
    return contract.model_copy(update={"causal_alignment": "bottom_right"})
