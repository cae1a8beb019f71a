"""What trials came to, none of which has worked yet."""

import time
from dataclasses import dataclass

from .conventions import Sizes


@dataclass
class Furthest:
    """The reason to tell where nothing works: that of the attempt that came furthest, the first among those.

    `deadline` is where the time for all of them is up, by the clock that `time.monotonic` reads.
    """

    deadline: float
    stage: int = -1
    reason: str = ""
    sizes: Sizes | None = None

    def note(self, stage: int, reason: str, sizes: Sizes | None = None) -> None:
        """Keep the reason of an attempt where it came further than those before."""
        if stage > self.stage:
            self.stage, self.reason, self.sizes = stage, reason, sizes

    @property
    def is_over(self) -> bool:
        """Whether the time for trials is up."""
        return time.monotonic() > self.deadline

    @property
    def why(self) -> str:
        """The reason, for a reader."""
        reason = self.reason or "nothing could be tried"
        return f"{reason} (the time for trials was up)" if self.is_over else reason
