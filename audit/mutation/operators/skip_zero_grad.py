"""Gradients that pile up."""

import libcst as cst

from audit.mutation.forms import called
from audit.mutation.operator import Around, Skipping


class SkipZeroGrad(Skipping):
    """The gradients of the step before are not cleared."""

    name = "skip_zero_grad"
    title = "gradients are never cleared"
    why = "each step also follows all gradients before it: it learns, badly, and the loss still falls"
    equivalent = "where gradients are cleared elsewhere too, or one step is taken"
    EXAMPLES = (("for x in data:\n    optimizer.zero_grad()\n    f(x)\n", ("for x in data:\n    pass\n    f(x)\n",)),)
    UNCHANGED = (
        "optimizer.step()\n",
        "y = optimizer.zero_grad()\n",
    )

    def is_skipped(self, call: cst.Call, around: Around) -> bool:
        """Return whether gradients are cleared."""
        return called(call) == "zero_grad"
