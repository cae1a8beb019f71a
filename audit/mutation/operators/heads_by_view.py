"""Heads that are split without moving an axis."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, integer, operand, options
from audit.mutation.operator import Around, Operator


class HeadsByView(Operator):
    """`view(b, l, h, d).transpose(1, 2)` becomes `view(b, h, l, d)`, which has the same shape and other numbers."""

    name = "heads_by_view"
    title = "heads are split by a view alone, which mixes up the tokens"
    why = "shapes and losses look right, and no head sees whole tokens; causality is gone"
    equivalent = "with one head, or sequences of one token"
    nodes = (cst.Call,)
    EXAMPLES = (
        ("q = q.view(b, n, h, d).transpose(1, 2)\n", ("q = q.view(b, h, n, d)\n",)),
        ("q = q.reshape(b, n, h, -1).permute(0, 2, 1, 3)\n", ("q = q.reshape(b, h, n, -1)\n",)),
    )
    UNCHANGED = ("q = q.view(shape).transpose(1, 2)\n", "q = q.view(b, n, h, d).transpose(2, 3)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the view with the two sizes exchanged, and no transposition."""
        assert isinstance(node, cst.Call)
        axes = tuple(integer(each.value) for each in options(node))
        if (called(node), axes) not in (
            ("transpose", (1, 2)),
            ("transpose", (2, 1)),
            ("permute", (0, 2, 1, 3)),
        ):
            return
        view = operand(node)
        if isinstance(view, cst.Call) and called(view) in ("view", "reshape") and len(view.args) == 4:
            if any(each.star or each.keyword for each in view.args):
                return
            first, length, heads, size = view.args
            yield view.with_changes(
                args=[first, length.with_changes(value=heads.value), heads.with_changes(value=length.value), size]
            )
