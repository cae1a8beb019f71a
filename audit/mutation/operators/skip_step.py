"""Weights that are never changed."""

import re

import libcst as cst

from audit.mutation.forms import called, text_of
from audit.mutation.operator import Around, Skipping

_OPTIMIZER = re.compile(r"opt(im)?(izer)?s?\b|_opt\b", re.IGNORECASE)


class SkipStep(Skipping):
    """The optimiser takes no step."""

    name = "skip_step"
    title = "the optimiser takes no step"
    why = "nothing is learned, and the loss still wobbles from batch to batch"
    equivalent = ""
    EXAMPLES = (
        ("optimizer.step()\n", ("pass\n",)),
        ("scaler.step(self.optimizer)\n", ("pass\n",)),
    )
    UNCHANGED = (
        "scheduler.step()\n",
        "optimizer.zero_grad()\n",
    )

    def is_skipped(self, call: cst.Call, around: Around) -> bool:
        """Return whether an optimiser takes its step."""
        return called(call) == "step" and bool(_OPTIMIZER.search(text_of(call)))
