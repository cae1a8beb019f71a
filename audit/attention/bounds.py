"""How far a correct implementation may be from the truth, derived from the plain computation in the same dtype.

error <= 3 * max(E) + 2 * max|(r + 0.3 - 0.3) - r|

r is the float64 oracle's answer; E are the errors of the plain computation in the tested dtype, one for each order of
operations in `plain.py`. The second term is the rounding of the result itself. The rule is that of the
flash-attention tests (github.com/Dao-AILab/flash-attention, tests/test_flash_attn.py), which compare tensors so large
that two orders of operations are enough for the largest error to show; here tensors are small, and luck in two of them
would be a false alarm. Measured on 2026-11-25 over 96,000 outputs and gradients of the correct functions in
tests/fixtures/attention/styles (float32, 250 seeds): with two orders 52 exceeded the bound; with those of `plain.py`
none did, and the largest reached 0.81 of it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_PLAIN_FACTOR = 3.0
_ROUNDING_FACTOR = 2.0
_SHIFT = 0.3


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """How far an output lies from what it should be in one case, and how far it may."""

    case: str
    error: float
    bound: float
    blind: str | None = None  # why an error within the bound says nothing

    @property
    def holds(self) -> bool:
        """Whether the error is within the bound; an infinite bound says nothing, so nothing holds against it."""
        return math.isfinite(self.bound) and self.error <= self.bound

    @property
    def ratio(self) -> float:
        """Error in units of the bound; infinite where the bound is zero and the error is not, or there is no bound."""
        if not math.isfinite(self.bound):
            return math.inf
        if self.bound > 0:
            return self.error / self.bound
        return 0.0 if self.error == 0 else math.inf


def allowance(truth: Tensor, *plain: Tensor) -> float:
    """Return the bound on an implementation's error, given the oracle's answer and the plain computations."""
    plain_error = max(distance(each, truth) for each in plain)
    return _PLAIN_FACTOR * plain_error + rounding_of(truth.to(plain[0].dtype))


def rounding_of(rounded: Tensor) -> float:
    """Return the share of a bound that is the rounding of the result itself, in its dtype."""
    return _ROUNDING_FACTOR * distance((rounded + _SHIFT) - _SHIFT, rounded.double())


def distance(found: Tensor, expected: Tensor) -> float:
    """Return the largest absolute difference in float64; infinite where shapes differ or a value is not finite."""
    if found.shape != expected.shape or found.numel() == 0:
        return math.inf
    difference = (found.double() - expected.double()).abs().max()
    return float(difference) if bool(torch.isfinite(difference)) else math.inf


def is_constant(truth: Tensor, bound: float) -> bool:
    """Whether every token's row is the same to within the bound, so that a constant output would pass for it."""
    tokens = (0, -2)  # batch and position of (B, L, E) and of (B, H, L, D)
    return distance(truth.mean(dim=tokens, keepdim=True).expand_as(truth), truth) <= bound < math.inf


def worst(deviations: list[Deviation]) -> Deviation:
    """Return the deviation that is largest in units of its bound."""
    return max(deviations, key=lambda deviation: deviation.ratio)
