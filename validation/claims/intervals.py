"""How sure a measurement is, and what that says about a claim's bound."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from audit.claims import Claim
from audit.judgement import Judgement, Measured
from audit.results import Location, Outcome, Series

CONFIDENCE = 0.95  # the usual convention; each result says so
FEWEST = 6  # that so many values lie around their median has a probability of 1 - 2^(1 - n), first above 95 % here
_RESAMPLES = 2000
_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A measurement between its limits; `how` says what these are."""

    value: float
    low: float
    high: float
    how: str


def wilson(right: int, samples: int) -> Interval:
    """Return the share of right samples with Wilson's score interval."""
    assert 0 <= right <= samples
    assert samples > 0
    z = NormalDist().inv_cdf(1 - _TAIL)
    share, spread = right / samples, z * z / samples
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / samples + spread / (4 * samples)) / (1 + spread)
    # All right or all wrong: the limit is the share itself, which rounding may miss.
    low = 0.0 if right == 0 else max(0.0, centre - half)
    high = 1.0 if right == samples else min(1.0, centre + half)
    how = f"{CONFIDENCE:.0%} confidence, Wilson's score interval over {samples} samples"
    return Interval(value=share, low=low, high=high, how=how)


def ratio_of_medians(over: Sequence[float], under: Sequence[float], *, seed: int) -> Interval:
    """Return median(over) / median(under) with the quantiles of that ratio over resampled pairs."""
    assert len(over) == len(under) >= FEWEST
    draw = random.Random(seed)
    pairs = range(len(over))
    ratios = []
    for _ in range(_RESAMPLES):
        drawn = draw.choices(pairs, k=len(pairs))
        ratios.append(median(over[i] for i in drawn) / median(under[i] for i in drawn))
    ratios.sort()
    edge = int(_TAIL * _RESAMPLES)
    how = f"{CONFIDENCE:.0%} confidence, bootstrap of the medians over {len(over)} pairs"
    return Interval(value=median(over) / median(under), low=ratios[edge], high=ratios[-1 - edge], how=how)


def range_of(values: Sequence[float], of: str) -> Interval:
    """Return the median of a few values between the smallest and the largest."""
    confidence = 1 - 2.0 ** (1 - len(values))
    if len(values) == 1:
        how = f"the one value of {of}; it says nothing about others"
    else:
        shown = math.floor(1e3 * confidence) / 1e3
        how = f"smallest to largest of {of}, which hold their median with a confidence of {shown:.1%}"
    return Interval(value=median(values), low=min(values), high=max(values), how=how)


def verdict(
    claim: Claim, found: Interval, *, unit: str, place: Location | None, series: tuple[Series, ...] = ()
) -> Judgement:
    """Verify, refute, or say that the interval does neither.

    Args:
        claim: what is claimed.
        found: what was measured.
        unit: of the measurement.
        place: where the claim is published.
        series: the values that the interval was computed from.
    """
    between = f"{found.value:.6g}, from {found.low:.6g} to {found.high:.6g} ({found.how})"
    said = f"{claim.statement!r}, that is {claim.comparison} {claim.bound:.6g}"
    measured = Measured(
        value=found.value,
        bound=claim.bound,
        comparison=claim.comparison,
        origin=f"published in {claim.published.file}",
        unit=f"{unit}, from {found.low:.6g} to {found.high:.6g} ({found.how})",
    )
    limits = Series(name="interval", x_name="limit", x=(0, 1), y=(found.low, found.high))
    outcome, reason = Outcome.ERROR, f"undecided: {said}; measured {between}: the bound lies inside; needs more samples"
    if _all(claim, found, holds=True):
        outcome, reason = Outcome.PASSED, f"verified: {said}; measured {between}"
    elif _all(claim, found, holds=False):
        outcome, reason = Outcome.FAILED, f"refuted: {said}; measured {between}"
    return Judgement(outcome=outcome, reason=reason, measured=measured, location=place, series=(limits, *series))


def _all(claim: Claim, found: Interval, *, holds: bool) -> bool:
    return all(claim.comparison.holds(each, claim.bound) is holds for each in (found.low, found.value, found.high))
