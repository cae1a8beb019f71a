"""A learning rate that stays."""

import re

import libcst as cst

from audit.mutation.forms import called, text_of
from audit.mutation.operator import Around, Skipping

_SCHEDULER = re.compile(r"sched|warmup", re.IGNORECASE)


class SkipScheduler(Skipping):
    """The schedule of the learning rate takes no step."""

    name = "skip_scheduler"
    title = "the learning rate never changes"
    why = "there is no warm-up and no decay, and a run of a few steps does not show it"
    equivalent = "where the schedule is constant"
    EXAMPLES = (
        ("scheduler.step()\n", ("pass\n",)),
        ("self.lr_scheduler.step(loss)\n", ("pass\n",)),
    )
    UNCHANGED = (
        "optimizer.step()\n",
        "scheduler.state_dict()\n",
    )

    def is_skipped(self, call: cst.Call, around: Around) -> bool:
        """Return whether a schedule takes its step."""
        return called(call) == "step" and bool(_SCHEDULER.search(text_of(call.func)))
