"""A loss that is made larger."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called
from audit.mutation.operator import Around, Operator
from audit.mutation.operators.shift_labels import LOSSES


class NegateLoss(Operator):
    """The loss has the wrong sign."""

    name = "negate_loss"
    title = "the loss has the wrong sign"
    why = "training makes the model worse at every step"
    nodes = (cst.Call,)
    EXAMPLES = (
        ("loss = F.cross_entropy(logits, labels)\n", ("loss = (-F.cross_entropy(logits, labels))\n",)),
        ("return_ = criterion(y, t).mean()\n", ("return_ = (-criterion(y, t)).mean()\n",)),
    )
    UNCHANGED = ("y = f(x)\n", "criterion()\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the negative of the loss."""
        assert isinstance(node, cst.Call)
        if called(node) in LOSSES and len(node.args) >= 2:
            yield cst.UnaryOperation(cst.Minus(), node, lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
