"""An evaluation that keeps its history."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, receiver
from audit.mutation.operator import Around, Operator


class SkipNoGrad(Operator):
    """`no_grad` and `inference_mode` become `enable_grad`."""

    name = "skip_no_grad"
    title = "evaluation records gradients"
    why = "memory grows with every batch of an evaluation, until it does not fit"
    equivalent = "in what is returned; only memory, time and `requires_grad` tell"
    nodes = (cst.Call,)
    EXAMPLES = (
        ("with torch.no_grad():\n    f()\n", ("with torch.enable_grad():\n    f()\n",)),
        ("@torch.inference_mode()\ndef f():\n    pass\n", ("@torch.enable_grad()\ndef f():\n    pass\n",)),
    )
    UNCHANGED = ("with no_grad():\n    f()\n", "with torch.enable_grad():\n    f()\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the context that records."""
        if isinstance(node, cst.Call) and called(node) in ("no_grad", "inference_mode") and not node.args:
            owner = receiver(node)
            if owner is not None and isinstance(node.func, cst.Attribute):
                yield node.with_changes(func=node.func.with_changes(attr=cst.Name("enable_grad")))
