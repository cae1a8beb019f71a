"""Batches that always come in the same order."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import text_of
from audit.mutation.operator import Around, Operator


class DropShuffle(Operator):
    """A loader is not shuffled."""

    name = "drop_shuffle"
    title = "training data is not shuffled"
    why = "batches of one class or one planet after another bias every step"
    equivalent = "with one batch"
    nodes = (cst.Arg,)
    EXAMPLES = (("loader = DataLoader(d, shuffle=True)\n", ("loader = DataLoader(d, shuffle=False)\n",)),)
    UNCHANGED = ("loader = DataLoader(d, shuffle=False)\n", "loader = DataLoader(d, shuffle=wanted)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the argument as False."""
        assert isinstance(node, cst.Arg)
        if node.keyword and node.keyword.value == "shuffle" and text_of(node.value) == "True":
            yield node.with_changes(value=cst.Name("False"))
