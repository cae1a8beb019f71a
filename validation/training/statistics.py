"""Intervals: of a mean by Student's t, of a growth by the order of its increments."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

LEVEL = 0.999  # of the interval of a growth: some twenty subjects a run must not bring a false alarm


class Growth(NamedTuple):
    """The median increment of a sequence, and an interval for it."""

    median: float
    lower: float
    upper: float


def growth(values: Sequence[float], *, level: float = LEVEL) -> Growth | None:
    """Return the median increment between neighbours with an interval that holds it with probability `level`.

    By order statistics: so many of the increments lie below the median as heads among coin flips. A single jump, such
    as an allocator that takes another arena, moves neither. None where there are too few increments for the level.
    """
    increments = sorted(later - earlier for earlier, later in pairwise(values))
    count = len(increments)
    below = 0.0
    rank = -1  # the largest with P(heads <= rank) <= (1 - level) / 2
    for heads in range(count):
        below += math.comb(count, heads) / 2.0**count
        if below > (1.0 - level) / 2.0:
            break
        rank = heads
    if rank < 0:
        return None
    middle = (increments[(count - 1) // 2] + increments[count // 2]) / 2.0
    return Growth(median=middle, lower=increments[rank], upper=increments[count - 1 - rank])


def upper_limit_of_mean(values: Sequence[float]) -> float:
    """Return the upper end of the 95 % interval of a mean, by Student's t; needs two values or more."""
    count = len(values)
    mean = math.fsum(values) / count
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    return mean + student_quantile(0.975, count - 1) * spread / math.sqrt(count)


def student_quantile(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t, by bisection of its integral; `probability` is above one half."""
    low, high = 0.0, 1e3
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _student_below(middle, degrees) < probability else (low, middle)
    return (low + high) / 2.0


def _student_below(value: float, degrees: int, parts: int = 2000) -> float:
    """Return the probability of a smaller value: substituting x = sqrt(n) tan(a), the integrand is a power of cos."""
    angle = math.atan(value / math.sqrt(degrees))
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    width = angle / parts
    inner = (
        (4.0 if index % 2 else 2.0) * math.cos(index * width) ** (degrees - 1) for index in range(1, parts)
    )  # Simpson's rule
    total = 1.0 + math.cos(angle) ** (degrees - 1) + math.fsum(inner)
    return 0.5 + scale * total * width / 3.0


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which so large a share of them lies, between neighbours on a straight line."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
