"""Scores that are not scaled."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import (
    called,
    find,
    in_place_of,
    integer,
    is_root,
    is_scale,
    may_attend,
    with_keyword,
    with_value,
)
from audit.mutation.operator import Around, Operator


class DropScale(Operator):
    """A product or quotient loses its scale; fused attention is told a scale of 1."""

    name = "drop_scale"
    title = "attention scores are not scaled"
    why = "without the scale the softmax saturates with growing heads, and training stalls"
    equivalent = "where the scale is 1, or all scores of a row are equal"
    nodes = (cst.BinaryOperation, cst.Call)
    EXAMPLES = (
        ("scores = q @ k.mT * scale\n", ("scores = q @ k.mT\n",)),
        ("scores = q @ k.mT / math.sqrt(d)\n", ("scores = q @ k.mT\n",)),
        ("scale = d ** -0.5\n", ("scale = 1.0\n",)),
        ("scale = 1.0 / math.sqrt(d)\n", ("scale = 1.0\n",)),
        (
            "y = F.scaled_dot_product_attention(q, k, v)\n",
            ("y = F.scaled_dot_product_attention(q, k, v, scale=1.0)\n",),
        ),
        (
            "y = F.scaled_dot_product_attention(q, k, v, scale=s)\n",
            ("y = F.scaled_dot_product_attention(q, k, v, scale=1.0)\n",),
        ),
    )
    UNCHANGED = (
        "y = a * b\n",
        "x = 2.0 ** 3\n",
        "y = F.scaled_dot_product_attention(q, k, v, scale=1.0)\n",
        "def normalised(x):\n    return x / self.input_scale\n",
    )

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the other side, or the call with a scale of 1."""
        if isinstance(node, cst.Call):
            if called(node) == "scaled_dot_product_attention":
                given = find(node.args, "scale")
                yield with_value(node, given, cst.Float("1.0")) if given else with_keyword(node, "scale", "1.0")
            return
        assert isinstance(node, cst.BinaryOperation)
        if not may_attend(around):
            return
        if isinstance(node.operator, cst.Multiply | cst.Divide) and is_scale(node.right):
            yield in_place_of(node, node.left)
        elif isinstance(node.operator, cst.Multiply) and is_scale(node.left):
            yield in_place_of(node, node.right)
        elif is_root(node) and integer(node.left) is None and not _is_divisor(node, around):
            yield in_place_of(node, cst.Float("1.0"))


def _is_divisor(node: cst.BinaryOperation, around: Around) -> bool:
    """Whether the root is one side of a product, where it is dropped as a whole."""
    above = around.parent
    return isinstance(above, cst.BinaryOperation) and isinstance(above.operator, cst.Multiply | cst.Divide)
