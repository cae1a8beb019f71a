"""Medians, percentiles and errors of samples, and the interval of a change between two runs."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_Z = 1.96
# Student's t, two-sided 95 %, by degrees of freedom; beyond them the last one, which is too wide and not too narrow.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
FEWEST_FOR_MEDIAN = 6  # the smallest and the largest of six enclose the median with 97 %


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the value that `share` of the samples lie below, between neighbours in proportion."""
    ordered = sorted(samples)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def relative_error(rounds: Sequence[Sequence[int]]) -> float:
    """Return the standard error of the median over the median; infinite where there are too few samples to tell.

    The larger of two: that of the pooled samples, from order statistics, and that of the medians of the rounds, which
    also has what changes slowly.
    """
    pooled = sorted(sample for each in rounds for sample in each)
    number = len(pooled)
    if number < FEWEST_FOR_MEDIAN:
        return math.inf
    half = _Z * math.sqrt(number) / 2
    low, high = max(math.floor(number / 2 - half), 0), min(math.ceil(number / 2 + half), number - 1)
    middle = statistics.median(pooled)
    if middle <= 0:
        return math.inf
    within = (pooled[high] - pooled[low]) / (2 * _Z * middle)
    medians = [statistics.median(each) for each in rounds]
    between = statistics.stdev(medians) / math.sqrt(len(medians)) / middle if len(medians) > 1 else 0.0
    return max(within, between)


def relative_error_of_mean(rounds: Sequence[Sequence[int]]) -> float:
    """Return the standard error of the mean over the mean, of the pooled samples; infinite below two."""
    pooled = [sample for each in rounds for sample in each]
    if len(pooled) < 2:
        return math.inf
    return statistics.stdev(pooled) / math.sqrt(len(pooled)) / statistics.fmean(pooled)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """By how much the time changed, as a share of the old one, with 95 % bounds."""

    change: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a change of nothing lies outside."""
        return self.low > 0 or self.high < 0


def change_between(old: Sequence[Sequence[int]], new: Sequence[Sequence[int]]) -> Interval | None:
    """Return how the median changed from one run to another; None with fewer than two rounds in either.

    Welch's t on the logarithms of the rounds' medians: samples of one round share whatever the machine did meanwhile,
    so rounds are what is independent.
    """
    if len(old) < 2 or len(new) < 2:
        return None
    before, after = ([math.log(statistics.median(each)) for each in rounds] for rounds in (old, new))
    parts = [statistics.variance(each) / len(each) for each in (before, after)]
    error, change = math.sqrt(sum(parts)), statistics.fmean(after) - statistics.fmean(before)
    if error == 0:
        freedom = float(len(before) + len(after) - 2)
    else:
        weights = zip(parts, (before, after), strict=True)
        freedom = sum(parts) ** 2 / sum(part**2 / (len(each) - 1) for part, each in weights)
    half = _T[max(min(math.floor(freedom), len(_T)), 1) - 1] * error
    return Interval(change=math.expm1(change), low=math.expm1(change - half), high=math.expm1(change + half))
