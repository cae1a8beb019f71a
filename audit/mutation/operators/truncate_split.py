"""A split that loses samples, or gives them twice."""

import re
from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import text_of
from audit.mutation.operator import Around, Operator

_BORDER = re.compile(r"(^|_|\.)(split|split_idx|cut|border|boundary|n_train|num_train|train_size|n_val|num_val)$")


class TruncateSplit(Operator):
    """Half of a training split is left out; a validation split also holds what was trained on."""

    name = "truncate_split"
    title = "a split of the data is wrong"
    why = "half of the data is never seen, or validation is done on what was trained on"
    nodes = (cst.Slice,)
    EXAMPLES = (
        ("train = data[:n_train]\n", ("train = data[:(n_train) // 2]\n",)),
        ("val = data[split:]\n", ("val = data[:]\n",)),
    )
    UNCHANGED = ("x = data[:n]\n", "x = data[2:]\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the slice with another border."""
        assert isinstance(node, cst.Slice)
        if node.lower is None and node.upper is not None and _BORDER.search(text_of(node.upper)):
            yield node.with_changes(upper=cst.parse_expression(f"({text_of(node.upper)}) // 2"))
        elif node.upper is None and node.lower is not None and _BORDER.search(text_of(node.lower)):
            yield node.with_changes(lower=None)
