"""A rotation that is none."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import names_in
from audit.mutation.operator import Around, Operator


class RotarySign(Operator):
    """The minus between a cosine and a sine becomes a plus, and the plus a minus."""

    name = "rotary_sign"
    title = "the rotary embedding has a wrong sign"
    why = "scores depend on absolute positions, and not on distances alone"
    nodes = (cst.BinaryOperation,)
    EXAMPLES = (
        ("y = a * cos - b * sin\n", ("y = a * cos + b * sin\n",)),
        ("y = a * cos + rotate(a) * sin\n", ("y = a * cos - rotate(a) * sin\n",)),
    )
    UNCHANGED = ("y = a * cos - b\n", "y = cos * sin\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the sum as a difference, and the other way round."""
        assert isinstance(node, cst.BinaryOperation)
        left, right = names_in(node.left), names_in(node.right)
        if not (({"cos"} <= left and {"sin"} <= right) or ({"sin"} <= left and {"cos"} <= right)):
            return
        if isinstance(node.operator, cst.Subtract):
            yield node.with_changes(operator=cst.Add())
        elif isinstance(node.operator, cst.Add):
            yield node.with_changes(operator=cst.Subtract())
