"""A softmax over the wrong axis."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import added, called, find, integer, number, options, with_value
from audit.mutation.operator import Around, Operator


class SoftmaxAxis(Operator):
    """The softmax runs over the axis beside the right one."""

    name = "softmax_axis"
    title = "the softmax runs over the wrong axis"
    why = "weights are normalised over the queries, so that every row sums to something else"
    equivalent = "where the scores are a multiple of the identity"
    nodes = (cst.Call,)
    EXAMPLES = (
        ("w = s.softmax(dim=-1)\n", ("w = s.softmax(dim=-2)\n",)),
        ("w = F.softmax(s, -1, dtype=torch.float32)\n", ("w = F.softmax(s, -2, dtype=torch.float32)\n",)),
        ("w = torch.log_softmax(s, dim=1)\n", ("w = torch.log_softmax(s, dim=0)\n",)),
        ("w = nn.Softmax(dim=-2)\n", ("w = nn.Softmax(dim=-1)\n",)),
    )
    UNCHANGED = ("w = s.softmax(dim=axis)\n", "w = s.sum(dim=-1)\n", "w = s.softmax(0)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the call over the next axis."""
        assert isinstance(node, cst.Call)
        if called(node) not in ("softmax", "log_softmax", "Softmax", "LogSoftmax"):
            return
        arguments = node.args if called(node)[0].isupper() else options(node)
        given = find(arguments, "dim", 0)
        axis = integer(given.value) if given else None
        if given and axis:
            yield with_value(node, given, number(-1) if axis == -2 else added(given.value, -1))
