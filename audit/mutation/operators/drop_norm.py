"""A block without its normalisation."""

import re
from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, plain, receiver, text_of
from audit.mutation.operator import Around, Operator

_NORM = re.compile(r"(^|_)(norm|norms|ln|layernorm|layer_norm|rmsnorm|batch_norm|bn)\d*(_|$|\d)")


class DropNorm(Operator):
    """`self.norm(x)` becomes `x`."""

    name = "drop_norm"
    title = "a normalisation is dropped"
    why = "activations grow with depth, and training diverges where it used to work"
    equivalent = "where the input is normalised already"
    nodes = (cst.Call,)
    EXAMPLES = (
        (
            "def forward(self, x):\n    return self.f(self.norm1(x))\n",
            ("def forward(self, x):\n    return self.f(x)\n",),
        ),
    )
    UNCHANGED = ("def forward(self, x):\n    return x.norm()\n", "y = norm(x)\n", "y = self.norm(x, 2)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield what is normalised."""
        assert isinstance(node, cst.Call)
        owner = receiver(node)
        if owner is None or text_of(owner) != "self" or not _NORM.search(called(node)):
            return
        if len(node.args) == 1 and plain(node.args[0]):
            yield node.args[0].value
