"""Dropout that does not ask whether the model is being trained."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import enclosed, in_place_of, text_of
from audit.mutation.operator import Around, Operator


class DropoutAlways(Operator):
    """`training=` is True, and a rate that is zero in evaluation is the rate."""

    name = "dropout_always"
    title = "dropout also acts in evaluation"
    why = "the same input gives another answer each time, and figures are worse than the model is"
    equivalent = "where the rate is 0, which is the default of many configurations"
    nodes = (cst.Arg, cst.IfExp)
    EXAMPLES = (
        ("x = F.dropout(x, p, training=self.training)\n", ("x = F.dropout(x, p, training=True)\n",)),
        ("p = self.p if self.training else 0.0\n", ("p = self.p\n",)),
        ("p = 0.0 if not self.training else self.p\n", ("p = self.p\n",)),
    )
    UNCHANGED = ("x = F.dropout(x, p, training=True)\n", "p = a if b else 0.0\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the argument as True, or the branch of training."""
        if isinstance(node, cst.Arg):
            if node.keyword and node.keyword.value == "training" and text_of(node.value).endswith("training"):
                yield node.with_changes(value=cst.Name("True"))
        elif isinstance(node, cst.IfExp):
            test = text_of(node.test)
            if test == "self.training":
                yield in_place_of(node, enclosed(node.body))
            elif test == "not self.training":
                yield in_place_of(node, enclosed(node.orelse))
