"""Whether rotary positions are relative, told by the weights where tokens can be moved only together with others.

Tokens that stand before the others take part in every row, but the ratio of the weights that a query gives to two keys
is that of their exponentials, whatever else is in the sum: it depends on these three tokens and where they stand.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from audit.attention.answers import Settled
from audit.attention.bounds import distance
from audit.attention.cases import plain_case
from audit.attention.properties.judging import call_raised, joining_layers
from audit.attention.rounding import BOUND, rounded_cases, two_runs_allowance
from audit.attention.subject import DTYPES, LENGTH, AttentionSubject
from audit.attention.traced import Core, traces_on
from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, judged, not_applicable
from audit.plan import Run

_MOVED = 3  # positions; all tokens together are as many as in every other call
_LEAST = 1e-6  # a weight below this is that of a key that a mask hides, or tells little of its logit
# Of the largest logarithm: angles, cosines and sines of 16 bits are off by 2**-9 to 2**-11.
_ROUNDED = 2.0**-7
_SEQUENCES = (None, "BLC", "LBC")
UNIT = "max abs difference of logarithms of weights"
_UNDECLARED = "undeclared: its positions can be neither passed in nor moved by padding"
_ORIGIN = (
    f"{BOUND}, plus the rounding of the largest angle: {LENGTH} units in the last place of the largest logarithm; "
    "response and rounding are those of the logarithms of weights against their mean in a row"
)


def by_weights(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare the weights among some tokens with those among the same ones behind others."""
    if subject.form.get("layout") not in _SEQUENCES or subject.form.get("several axes"):
        return not_applicable(f"{_UNDECLARED}, and tokens may lie along several axes")
    generator = subject.generator(run.seed)
    plain = plain_case(subject, generator)
    hidden = plain.tensors["hidden_states"]
    moved = plain.replaced(f"{_MOVED} tokens before the first", hidden_states=hidden.roll(_MOVED, dims=1))
    dtype = subject.finest_dtype
    try:
        traces = traces_on(subject, run, dtype, [plain, moved, *rounded_cases(plain, dtype, generator)])
    except Settled as settled:
        return not_applicable(f"{_UNDECLARED}, and nothing could be traced: {settled.judgement.reason}")
    found = [[_weights(core) for core in trace.cores] for trace in traces]
    counts = {len(each) for each in found}
    if counts == {0} or len(counts) != 1 or any(each is None for many in found for each in many):
        return not_applicable(f"{_UNDECLARED}, and the weights of every query and key could not be traced")
    cores = [[each for each in of_core if each is not None] for of_core in zip(*found, strict=True)]
    compared = [_compared(of_core, DTYPES[dtype]) for of_core in cores]
    if not all(numbers for numbers in compared):
        return not_applicable(f"{_UNDECLARED}, and no query has weight on two keys wherever they stand")
    apart, bound, largest, scaled = max((each for each in compared if each), key=lambda each: each[0] / each[1])
    if apart > bound and not subject.is_declared:
        try:
            subject.forward(run, dtype, [plain])  # which tells its layers; a trace does not
        except TargetRaised as raised:
            return call_raised(subject, run, raised)
        if layers := joining_layers(subject):
            return not_applicable(f"undeclared: whether tokens may have influence through its {layers}")
        if apart <= _ROUNDED * largest:
            return not_applicable("undeclared: in which precision its angles are; weights change by 16 bits of them")
        if scaled <= bound:
            return not_applicable("undeclared: whether the scale depends on the position of the query; observed: so")
    measured = Measured(value=apart, bound=bound, origin=_ORIGIN.format(dtype=dtype), unit=UNIT)
    return judged(
        measured,
        otherwise="weights among the same tokens change when all of them move by the same number of positions, as "
        "where queries alone or keys alone are rotated, or pairs are rotated otherwise than their angles are laid out: "
        f"{_MOVED} tokens before the first",
        fix="rotate queries and keys alike, by pairs of features that share an angle",
    )


def _weights(core: Core) -> Tensor | None:
    """Return the weights, (heads, queries, keys), where there is one for each pair of tokens."""
    if not core.weights or {len(row) for head in core.weights for row in head} != {LENGTH}:
        return None
    found = torch.tensor(core.weights, dtype=torch.float64)
    return found if found.shape[1] == LENGTH else None


def _compared(weights: Sequence[Tensor], dtype: torch.dtype) -> tuple[float, float, float, float] | None:
    """Return how far moving brings weights apart, how far it may, the largest logarithm, and what no factor explains.

    Args:
        weights: those of the plain case, of the moved one, and of the plain one with its input rounded.
        dtype: of the weights.
    """
    first, kept = slice(0, LENGTH - _MOVED), slice(_MOVED, LENGTH)
    parts = [each[:, kept, kept] if index == 1 else each[:, first, first] for index, each in enumerate(weights)]
    seen = torch.stack(parts).amin(dim=0) > _LEAST
    seen &= seen.sum(dim=-1, keepdim=True) > 1
    if not seen.any():
        return None
    plain, moved, *rounded = (_logarithms(each, seen) for each in parts)
    largest = float(plain.abs().max())
    bound = two_runs_allowance(plain.to(dtype), [each.to(dtype) for each in rounded])
    bound += LENGTH * torch.finfo(dtype).eps * largest
    factor = (plain * moved).sum(-1, keepdim=True) / plain.square().sum(-1, keepdim=True).clamp_min(1e-30)
    return distance(moved, plain), bound, largest, distance(moved, factor * plain)


def _logarithms(weights: Tensor, seen: Tensor) -> Tensor:
    """Return the logarithms of the weights that are seen, against their mean in each row; zero elsewhere."""
    logarithms = weights.clamp_min(_LEAST).log().where(seen, torch.zeros(()).double())
    mean = logarithms.sum(dim=-1, keepdim=True) / seen.sum(dim=-1, keepdim=True).clamp_min(1)
    return (logarithms - mean).where(seen, torch.zeros(()).double())
