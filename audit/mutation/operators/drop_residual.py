"""A block without the way around it."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import in_place_of, text_of
from audit.mutation.operator import Around, Operator


class DropResidual(Operator):
    """`x + self.block(...)` becomes `self.block(...)`."""

    name = "drop_residual"
    title = "a residual connection is dropped"
    why = "deep models stop learning, and weights that were trained with it are useless"
    nodes = (cst.BinaryOperation,)
    EXAMPLES = (
        (
            "def forward(self, x):\n    return x + self.block(x)\n",
            ("def forward(self, x):\n    return self.block(x)\n",),
        ),
        ("def forward(self, x):\n    y = self.f(x) + x\n", ("def forward(self, x):\n    y = self.f(x)\n",)),
    )
    UNCHANGED = ("def other(self, x):\n    return x + 1\n", "def forward(self, x):\n    return self.a(x) + self.b(x)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield what is added to a name."""
        assert isinstance(node, cst.BinaryOperation)
        if not isinstance(node.operator, cst.Add) or around.function is None:
            return
        for kept, dropped in ((node.right, node.left), (node.left, node.right)):
            if isinstance(dropped, cst.Name) and isinstance(kept, cst.Call) and text_of(kept).startswith("self."):
                yield in_place_of(node, kept)
                return
