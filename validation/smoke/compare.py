"""Comparing outputs: the reference must be worth comparing with, and equal means the same bits."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def unusable(outputs: Mapping[str, Tensor]) -> str | None:
    """Return why `outputs` cannot serve as a reference: none, empty, or not finite; None when they can."""
    if not outputs:
        return "the output holds no tensor"
    if all(tensor.numel() == 0 for tensor in outputs.values()):
        return "the output holds no element"
    count = nonfinite(outputs)
    return f"{count} elements of the output are not finite" if count else None


def nonfinite(outputs: Mapping[str, Tensor]) -> int:
    """Return how many elements are NaN or infinite."""
    return sum(int((~torch.isfinite(t)).sum()) for t in outputs.values() if t.is_floating_point())


def difference(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """Return the largest absolute difference; infinite where names, shapes or dtypes differ or one is not finite."""
    if first.keys() != second.keys():
        return math.inf
    largest = 0.0
    for name, tensor in first.items():
        other = second[name]
        if tensor.shape != other.shape or tensor.dtype != other.dtype:
            return math.inf
        if tensor.numel():
            gap = float((tensor.double() - other.double()).abs().max())
            largest = max(largest, gap if math.isfinite(gap) else math.inf)
    return largest
