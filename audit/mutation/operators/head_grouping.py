"""Query heads that read the wrong key head."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, find, imports_torch, integer, operand, options, parsed, text_of
from audit.mutation.operator import Around, Operator


class HeadGrouping(Operator):
    """`repeat_interleave` becomes a tiling of the whole, and a tiling of heads becomes `repeat_interleave`."""

    name = "head_grouping"
    title = "query heads read the wrong key and value heads"
    why = "weights from a checkpoint give nonsense, while a model that is trained from nothing looks fine"
    equivalent = "with one key head, or as many as query heads"
    nodes = (cst.Call,)
    EXAMPLES = (
        (
            "import torch\nk = k.repeat_interleave(groups, dim=1)\n",
            ("import torch\nk = torch.cat([k] * (groups), dim=1)\n",),
        ),
        ("k = k.repeat(1, groups, 1, 1)\n", ("k = k.repeat_interleave(groups, dim=1)\n",)),
    )
    UNCHANGED = ("k = k.repeat_interleave(groups)\n", "x = x.repeat(1, n)\n", "x = x.repeat(n, 1, 1, 1)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the other order of the repeated heads."""
        assert isinstance(node, cst.Call)
        of = operand(node)
        if of is None:
            return
        if called(node) == "repeat_interleave" and imports_torch(around.module):
            times, axis = find(options(node), "repeats", 0), find(options(node), "dim", 1)
            if times and axis:
                yield parsed(f"torch.cat([{text_of(of)}] * ({text_of(times.value)}), dim={text_of(axis.value)})")
        elif called(node) == "repeat" and len(node.args) == 4:
            first, heads, *others = (integer(each.value) for each in node.args)
            if heads is None and [first, *others] == [1, 1, 1]:
                yield parsed(f"{text_of(of)}.repeat_interleave({text_of(node.args[1].value)}, dim=1)")
