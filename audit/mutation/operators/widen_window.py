"""A window that is too wide by one."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import last_name
from audit.mutation.operator import Around, Operator


class WidenWindow(Operator):
    """Where positions are compared with a window or keys are cut by it, it holds one more."""

    name = "widen_window"
    title = "the window is wider by one"
    why = "what decoding with a cache of the right size computes then differs from what training saw"
    equivalent = "where no sequence is longer than the window"
    nodes = (cst.Name, cst.Attribute)
    EXAMPLES = (
        ("m = ahead < window\n", ("m = ahead < (window + 1)\n",)),
        ("m = (i - j).abs() <= self.window\n", ("m = (i - j).abs() <= (self.window + 1)\n",)),
        ("k = k[:, :, -window:]\n", ("k = k[:, :, -(window + 1):]\n",)),
    )
    UNCHANGED = ("if n > window:\n    pass\n", "f(window=window)\n", "y = x < window.size\n", "y = window[a < b]\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the window plus one, where it bounds something."""
        assert isinstance(node, cst.Name | cst.Attribute)
        if last_name(node) not in ("window", "window_size", "local_window", "sliding_window"):
            return
        if isinstance(around.parent, cst.Attribute | cst.Parameters | cst.Param | cst.Call) or around.is_condition:
            return
        for above in reversed(around.ancestors):
            if isinstance(above, cst.ComparisonTarget | cst.Comparison | cst.Slice):
                yield cst.BinaryOperation(
                    node, cst.Add(), cst.Integer("1"), lpar=[cst.LeftParen()], rpar=[cst.RightParen()]
                )
                return
            if not isinstance(above, cst.UnaryOperation | cst.BinaryOperation):
                return
