"""Losses that a constant minimises: no model can reach less, so that they tell nothing about one."""

from collections.abc import Iterable

EPS = 2.0**-23  # of float32
HOW_TO_MEND = "replace it by the loss that the model is trained with, with targets that differ between samples"


def cannot_be_beaten(constant: float, model: float, seen: Iterable[float]) -> bool:
    """Whether a constant has as little of the loss as any model can.

    A loss that is never negative cannot be below zero, and beside the model's own float32 does not tell from zero what
    is smaller than its rounding.

    Args:
        constant: the loss of what does not look at the input.
        model: that of the model; the lesser one, where its training may have raised it.
        seen: every loss that is known; one below zero says that zero is not the least.
    """
    return 0.0 <= constant <= EPS * max(model, 0.0) and min(seen, default=0.0) >= 0.0


def said_of(constant: float) -> str:
    """Say it for a report."""
    return f"a constant output minimises this loss: it reaches {constant:.3g}, which no model can be below"
