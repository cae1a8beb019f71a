"""Gradients that are clipped while they are scaled."""

import libcst as cst

from audit.mutation.forms import called
from audit.mutation.operator import Around, Skipping


class SkipUnscale(Skipping):
    """The gradients keep the factor of the loss when they are clipped."""

    name = "skip_unscale"
    title = "gradients are not unscaled before they are clipped"
    why = "in float16 the limit is a thousand times too tight, and in float32 nothing shows"
    equivalent = "where the scaler is off, as it is on a CPU"
    EXAMPLES = (("scaler.unscale_(optimizer)\n", ("pass\n",)),)
    UNCHANGED = ("scaler.update()\n",)

    def is_skipped(self, call: cst.Call, around: Around) -> bool:
        """Return whether gradients are unscaled."""
        return called(call) == "unscale_"
