"""A gradient that is cut off."""

import re
from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import method, text_of
from audit.mutation.operator import Around, Operator

_TENSOR = re.compile(r"^(torch\.)?Tensor$")


class Detach(Operator):
    """The left side of a matrix product, and what `forward` returns, carry no gradient."""

    name = "detach"
    title = "the gradient is cut off by a detach"
    why = "the layers before it never learn, and every forward is still exact"
    equivalent = "where no gradient is asked for"
    nodes = (cst.BinaryOperation, cst.Return)
    EXAMPLES = (
        ("y = weights @ v\n", ("y = weights.detach() @ v\n",)),
        (
            "def forward(self, x) -> Tensor:\n    return x\n",
            ("def forward(self, x) -> Tensor:\n    return x.detach()\n",),
        ),
    )
    UNCHANGED = (
        "y = f(x) @ v\n",
        "def forward(self, x):\n    return x\n",
        "def other(x) -> Tensor:\n    return x\n",
        "def backward(ctx, g):\n    return g @ w\n",  # of a Function of autograd, which keeps no history in there
        "def forward(ctx, x) -> Tensor:\n    return x\n",
    )

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the tensor without its history."""
        function = around.function
        if function and function.params.params and function.params.params[0].name.value == "ctx":
            return
        if isinstance(node, cst.BinaryOperation):
            if isinstance(node.operator, cst.MatrixMultiply) and isinstance(node.left, cst.Name):
                yield node.with_changes(left=method(node.left, "detach"))
        elif isinstance(node, cst.Return) and node.value is not None:
            returned = function.returns if function and function.name.value == "forward" else None
            if returned and _TENSOR.match(text_of(returned.annotation)):
                yield node.with_changes(value=method(node.value, "detach"))
