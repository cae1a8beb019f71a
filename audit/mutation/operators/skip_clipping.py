"""Gradients without a limit."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, find, parsed, with_value
from audit.mutation.operator import Around, Operator

_LIMITS = {"clip_grad_norm_": "max_norm", "clip_grad_value_": "clip_value"}


class SkipClipping(Operator):
    """The limit of the gradient is infinite."""

    name = "skip_clipping"
    title = "gradients are not clipped"
    why = "one bad batch ruins the weights; on a small example no gradient reaches the limit"
    equivalent = "where no gradient is beyond the limit"
    nodes = (cst.Call,)
    EXAMPLES = (
        ("clip_grad_norm_(p, 1.0)\n", ("clip_grad_norm_(p, float('inf'))\n",)),
        (
            "n = nn.utils.clip_grad_norm_(p, max_norm=c)\n",
            ("n = nn.utils.clip_grad_norm_(p, max_norm=float('inf'))\n",),
        ),
    )
    UNCHANGED = ("clip_grad_norm_(*a)\n", "x.clip(0, 1)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the call with an infinite limit."""
        assert isinstance(node, cst.Call)
        if (name := _LIMITS.get(called(node))) and (limit := find(node.args, name, 1)):
            yield with_value(node, limit, parsed("float('inf')"))
