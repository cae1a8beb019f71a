"""Scores that are scaled twice."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import is_scale, may_attend
from audit.mutation.operator import Around, Operator


class DoubleScale(Operator):
    """What is multiplied by a scale, or divided by a square root, is so a second time."""

    name = "double_scale"
    title = "attention scores are scaled twice"
    why = "the weights become nearly even: every query attends to everything a little"
    equivalent = "where the scale is 1, or all scores of a row are equal"
    nodes = (cst.BinaryOperation,)
    EXAMPLES = (
        ("scores = q @ k.mT * scale\n", ("scores = q @ k.mT * scale * scale\n",)),
        ("q = q / math.sqrt(d)\n", ("q = q / math.sqrt(d) / math.sqrt(d)\n",)),
        ("q = q * d ** -0.5\n", ("q = q * d ** -0.5 * d ** -0.5\n",)),
    )
    UNCHANGED = (
        "y = a * b\n",
        "scale = 1.0 / math.sqrt(d)\n",
        "scale = d ** -0.5\n",
        "def normalised(x):\n    return x / self.input_scale\n",
    )

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the operation with its right side once more."""
        assert isinstance(node, cst.BinaryOperation)
        is_number = isinstance(node.left, cst.Float | cst.Integer)
        is_product = isinstance(node.operator, cst.Multiply | cst.Divide)
        if is_product and is_scale(node.right) and not is_number and may_attend(around):
            inner = node.with_changes(lpar=[], rpar=[])
            yield cst.BinaryOperation(inner, node.operator, node.right, lpar=node.lpar, rpar=node.rpar)
