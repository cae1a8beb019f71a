"""A mask that is taken and not used."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, operand, text_of
from audit.mutation.operator import Around, Operator

_OF_MASKS = frozenset({"attn_mask", "attention_mask", "key_mask", "key_padding_mask", "src_key_padding_mask", "mask"})


class IgnoreMask(Operator):
    """`masked_fill` leaves the tensor as it is, and no mask is handed on."""

    name = "ignore_mask"
    title = "a mask is ignored"
    why = "padding leaks into every real token, and the same sentence gives another answer in another batch"
    equivalent = "where the mask allows all"
    nodes = (cst.Call, cst.Arg)
    EXAMPLES = (
        ("s = s.masked_fill(~mask, -1e9)\n", ("s = s\n",)),
        ("s = torch.masked_fill(s, mask, 0)\n", ("s = s\n",)),
        ("y = attend(q, k, v, attn_mask=mask)\n", ("y = attend(q, k, v, attn_mask=None)\n",)),
    )
    UNCHANGED = (
        "y = attend(q, k, v, attn_mask=None)\n",
        "s = s.fill_(0)\n",
        "def f(mask=m):\n    pass\n",
        "s = torch.masked_fill(s, empty_row, 0.0)\n",  # numbers in the place of none: no key is left out by it
    )

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield what is masked, or None for the mask."""
        if isinstance(node, cst.Arg):
            if node.keyword and node.keyword.value in _OF_MASKS and text_of(node.value) != "None":
                yield node.with_changes(value=cst.Name("None"))
            return
        if not isinstance(node, cst.Call) or called(node) not in ("masked_fill", "masked_fill_"):
            return
        masked = operand(node)
        if masked is not None and not any("empty" in text_of(each.value) for each in node.args):
            yield masked
