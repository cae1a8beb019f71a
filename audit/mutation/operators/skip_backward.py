"""A step without gradients."""

import libcst as cst

from audit.mutation.forms import called
from audit.mutation.operator import Around, Skipping


class SkipBackward(Skipping):
    """No gradient is computed."""

    name = "skip_backward"
    title = "no gradient is computed"
    why = "nothing is learned, and a test that only asks for a finite loss is content"
    equivalent = ""
    EXAMPLES = (
        ("loss.backward()\n", ("pass\n",)),
        ("torch.autograd.backward(loss)\n", ("pass\n",)),
    )
    UNCHANGED = (
        "optimizer.step()\n",
        "loss.forward()\n",
    )

    def is_skipped(self, call: cst.Call, around: Around) -> bool:
        """Return whether gradients are computed."""
        return called(call) in ("backward", "manual_backward")
