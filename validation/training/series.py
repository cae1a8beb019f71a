"""Curves of a run as evidence, thinned where they are long."""

from collections.abc import Sequence

from audit.results import Series
from validation.training.trainee import FirstRun

_MOST_POINTS = 500


def loss_series(run: FirstRun) -> tuple[Series, ...]:
    """Return the loss of each step, and on held-out batches."""
    curves = [thinned("loss", run.losses, unit=None)]
    if run.validation:
        steps, losses = zip(*run.validation, strict=True)
        curves.append(Series(name="validation loss", x_name="step", x=steps, y=losses))
    return tuple(curves)


def time_series(run: FirstRun) -> tuple[Series, ...]:
    """Return the time of each step."""
    return (thinned("step time", run.seconds, unit="s"),)


def memory_series(run: FirstRun) -> tuple[Series, ...]:
    """Return the resident memory after some steps."""
    if not run.memory:
        return ()
    steps, sizes = zip(*run.memory, strict=True)
    return (Series(name="resident memory", unit="bytes", x_name="step", x=steps, y=sizes),)


def thinned(name: str, values: Sequence[float], *, unit: str | None) -> Series:
    """Return values by step, counted from 1; of many, the mean of as many as make one point."""
    size = -(-len(values) // _MOST_POINTS) or 1
    blocks = [values[start : start + size] for start in range(0, len(values), size)]
    ends = [min(start + size, len(values)) for start in range(0, len(values), size)]
    named = name if size == 1 else f"{name}, mean of {size} steps"
    means = tuple(sum(block) / len(block) for block in blocks)
    return Series(name=named, unit=unit, x_name="step", x=tuple(map(float, ends)), y=means)
