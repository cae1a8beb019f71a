"""When enough samples are taken: a stop rule tied to their noise, with limits."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_Z = 1.96  # of a normal distribution, 95 %
Sample = Callable[[], int]


@dataclass(frozen=True)
class Rule:
    """Stop at `relative_error` of the median, once there are `least` samples, or after `seconds`."""

    relative_error: float
    least: int
    most: int
    seconds: float


def relative_error_of_median(samples: Sequence[int]) -> float:
    """Return the standard error of the median over the median; infinite below 6 samples, where nothing is known.

    From order statistics, which assume no distribution (Conover 1999, "Practical Nonparametric Statistics", 3.2): the
    samples of rank n/2 -+ 1.96 sqrt(n)/2 enclose the median with 95 %.
    """
    number = len(samples)
    if number < 6:  # the smallest and the largest of five enclose it with 94 %
        return math.inf
    ordered = sorted(samples)
    half = _Z * math.sqrt(number) / 2
    low = max(math.floor(number / 2 - half), 0)
    high = min(math.ceil(number / 2 + half), number - 1)
    middle = statistics.median(ordered)
    return (ordered[high] - ordered[low]) / (2 * _Z * middle) if middle > 0 else math.inf


def sampled(sample: Sample, rule: Rule, now: Callable[[], float] = time.monotonic) -> list[int]:
    """Take samples in nanoseconds until the rule says stop; at least one."""
    samples: list[int] = []
    until = now() + rule.seconds
    while len(samples) < rule.most:
        samples.append(sample())
        # The limit holds for few samples too: one of a long case may take all the time there is.
        if now() >= until:
            break
        if len(samples) >= rule.least and relative_error_of_median(samples) <= rule.relative_error:
            break
    return samples
