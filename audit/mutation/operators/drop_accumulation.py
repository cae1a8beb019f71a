"""Micro-batches that count too much."""

import re
from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import in_place_of, text_of
from audit.mutation.operator import Around, Operator

_COUNT = re.compile(r"accum|passes|micro", re.IGNORECASE)


class DropAccumulation(Operator):
    """The loss of a micro-batch is not divided by their number."""

    name = "drop_accumulation"
    title = "accumulated losses are not averaged"
    why = "the step grows with the number of micro-batches, so that what fits on a small GPU trains otherwise"
    equivalent = "with one micro-batch, which is the default"
    nodes = (cst.BinaryOperation,)
    EXAMPLES = (("loss = loss / accumulation_steps\n", ("loss = loss\n",)),)
    UNCHANGED = ("x = loss / 2\n", "x = total / accumulate\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the loss."""
        assert isinstance(node, cst.BinaryOperation)
        if (
            isinstance(node.operator, cst.Divide)
            and "loss" in text_of(node.left)
            and _COUNT.search(text_of(node.right))
        ):
            yield in_place_of(node, node.left)
