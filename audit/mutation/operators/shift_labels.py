"""Labels that belong to another input."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, find, integer, method, number, text_of, with_value
from audit.mutation.operator import Around, Operator

LOSSES = frozenset(
    (
        *("cross_entropy", "mse_loss", "l1_loss", "nll_loss", "smooth_l1_loss", "huber_loss", "kl_div"),
        *("binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "poisson_nll_loss"),
        *("criterion", "loss_fn", "loss_function"),
    )
)


class ShiftLabels(Operator):
    """A loss compares with the labels of the row before; a target that is shifted by one is not."""

    name = "shift_labels"
    title = "the loss is taken on labels shifted by one"
    why = "the model learns to copy its input, or noise, and the loss falls all the same"
    equivalent = "with batches of one row, or labels that are all the same"
    nodes = (cst.Call, cst.SubscriptElement)
    EXAMPLES = (
        ("loss = F.cross_entropy(logits, labels)\n", ("loss = F.cross_entropy(logits, labels.roll(1, 0))\n",)),
        ("def loss(x):\n    wanted = x[:, 1:]\n", ("def loss(x):\n    wanted = x[:, :-1]\n",)),
    )
    UNCHANGED = ("def f(x):\n    return x[:, 1:]\n", "y = f(logits, labels)\n", "wanted = x[:, 2:]\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the call with rolled labels, or the slice that does not shift."""
        if isinstance(node, cst.Call):
            target = find(node.args, "target", 1)
            if called(node) in LOSSES and target:
                yield with_value(node, target, method(target.value, "roll", "1", "0"))
            return
        assert isinstance(node, cst.SubscriptElement)
        part = node.slice
        if not isinstance(part, cst.Slice) or part.lower is None or part.upper is not None or part.step is not None:
            return
        if integer(part.lower) == 1 and around.function and "loss" in text_of(around.function):
            yield node.with_changes(slice=part.with_changes(lower=None, upper=number(-1)))
