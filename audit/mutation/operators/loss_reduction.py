"""A loss that grows with the batch."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, find, text_of, with_keyword, with_value
from audit.mutation.operator import Around, Operator
from audit.mutation.operators.shift_labels import LOSSES


class LossReduction(Operator):
    """A loss is summed where it was a mean."""

    name = "loss_reduction"
    title = "the loss is a sum instead of a mean"
    why = "the step grows with the size of the batch and the length of the text, and so does every figure"
    equivalent = "with one element"
    nodes = (cst.Call,)
    EXAMPLES = (
        ("l = F.mse_loss(y, t)\n", ("l = F.mse_loss(y, t, reduction='sum')\n",)),
        ("l = F.mse_loss(y, t, reduction='mean')\n", ("l = F.mse_loss(y, t, reduction='sum')\n",)),
    )
    UNCHANGED = ("l = F.mse_loss(y, t, reduction='none')\n", "l = criterion(y, t)\n", "y = x.mean()\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the call that sums."""
        assert isinstance(node, cst.Call)
        if called(node) not in LOSSES or not (called(node).endswith("_loss") or "entropy" in called(node)):
            return
        given = find(node.args, "reduction")
        if given is None:
            yield with_keyword(node, "reduction", "'sum'")
        elif text_of(given.value).strip("'\"") == "mean":
            yield with_value(node, given, cst.SimpleString("'sum'"))
