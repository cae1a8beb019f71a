"""A mask that dampens where it should block."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, find, is_minus_infinity, options, with_value
from audit.mutation.operator import Around, Operator


class WeakMask(Operator):
    """Masked scores are filled with -1 in place of minus infinity."""

    name = "weak_mask"
    title = "masked scores are -1 instead of minus infinity"
    why = "what is masked keeps part of the weight; a test that only asks whether a mask matters does not see it"
    nodes = (cst.Call,)
    EXAMPLES = (
        ("s = s.masked_fill(m, float('-inf'))\n", ("s = s.masked_fill(m, -1.0)\n",)),
        ("s = s.masked_fill(m, -1e9)\n", ("s = s.masked_fill(m, -1.0)\n",)),
        ("s = s.masked_fill(m, torch.finfo(s.dtype).min)\n", ("s = s.masked_fill(m, -1.0)\n",)),
        ("b = torch.full((n, n), float('-inf'))\n", ("b = torch.full((n, n), -1.0)\n",)),
    )
    UNCHANGED = ("s = s.masked_fill(m, 0.0)\n", "s = s.masked_fill(m, -100)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the call that fills with -1."""
        assert isinstance(node, cst.Call)
        filled = None
        if called(node) in ("masked_fill", "masked_fill_"):
            filled = find(options(node), "value", 1)
        elif called(node) in ("full", "full_like", "new_full"):
            filled = find(node.args, "fill_value", 1)
        if filled and is_minus_infinity(filled.value):
            yield with_value(node, filled, cst.UnaryOperation(cst.Minus(), cst.Float("1.0")))
