"""How much of a call's time is left, so that trials can end with what they have found before the parent ends them."""

import math
import time

_SHARE = 2 / 3  # of what is left: the trial that runs when the time is up goes on to its end, and what follows is slow
_limit_s = [math.inf]
_begun = [0.0]


def enter(limit_s: float) -> None:
    """Set the time that each call has."""
    _limit_s[0] = limit_s


def reset() -> None:
    """Begin to count a call's time."""
    _begun[0] = time.monotonic()


def for_trials(most_s: float) -> float:
    """Return for how many seconds to try, at most `most_s`."""
    left = _begun[0] + _limit_s[0] - time.monotonic()
    return min(most_s, _SHARE * left)
