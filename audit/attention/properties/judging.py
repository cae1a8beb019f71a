"""From deviations to a judgement, in the words that all properties share."""

import math
from collections.abc import Sequence

from audit.attention.bounds import Deviation, worst
from audit.judgement import Judgement, Measured, error, judged, skipped

ORACLE_BOUND = (
    "3 x the larger error of the plain {dtype} computation in its two orders of operations against float64, "
    "plus 2 x the rounding of the result"
)
TWO_RUNS_BOUND = (
    "twice that of one run, because two runs of a correct implementation may each err by it: " + ORACLE_BOUND
)
_MAX_LISTED = 6
NO_ORACLE = "the contract does not name the module's projections, so there is no oracle to derive a bound from"

# An exception in one of these is the subject's own; one while it is built says nothing about the property.
DOCUMENTED_CALLS = ("forward", "decode", "backward")


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
    unusable = [deviation for _, deviation in deviations if not math.isfinite(deviation.bound)]
    finite = [(dtype, deviation) for dtype, deviation in deviations if math.isfinite(deviation.bound)]
    if unusable and all(deviation.holds for _, deviation in finite):
        return error(f"no usable reference in case {unusable[0].case!r}: the plain computation itself is not finite")
    deviations = finite
    top = worst([deviation for _, deviation in deviations])
    dtype = next(dtype for dtype, deviation in deviations if deviation is top)
    measured = Measured(value=top.error, bound=top.bound, origin=origin.format(dtype=dtype), unit="max abs difference")
    wrong = [f"{deviation.case} in {each}" for each, deviation in deviations if not deviation.holds]
    listed = "; ".join(wrong[:_MAX_LISTED]) + (f"; {len(wrong) - _MAX_LISTED} more" if len(wrong) > _MAX_LISTED else "")
    reason = f"{otherwise.format(case=top.case)} ({len(wrong)} of {len(deviations)} cases: {listed})"
    return judged(measured, otherwise=reason, fix=fix)


def no_oracle() -> Judgement:
    """What a property says that has no bound: nothing was verified, so the verdict cannot be `ready`."""
    return skipped(NO_ORACLE)
