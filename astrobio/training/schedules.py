"""Learning-rate schedules: functions of the step alone, so that a resumed run has nothing to restore."""

import math
from collections.abc import Callable


def _cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine (Loshchilov & Hutter 2017, SGDR, without restarts)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _linear(progress: float) -> float:
    return 1.0 - progress


def _constant(progress: float) -> float:
    return 1.0


SCHEDULES: dict[str, Callable[[float], float]] = {"constant": _constant, "cosine": _cosine, "linear": _linear}
"""name -> factor of the peak rate at a progress from 0, the first step, to 1, after the last."""


def learning_rate_factor(step: int, *, steps: int, warm_up_steps: int, schedule: str) -> float:
    """The factor of the peak learning rate at `step`, counted from 0.

    The linear warm-up ends after `warm_up_steps`, or after half of all steps where that is sooner.

    Raises:
        ValueError: there is no such schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {schedule!r}; choose from: {', '.join(sorted(SCHEDULES))}")
    warm_up = max(1, min(warm_up_steps, steps // 2))
    return min((step + 1) / warm_up, SCHEDULES[schedule](step / steps))
