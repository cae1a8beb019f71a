"""A mask with its meaning turned round."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, enclosed, find, in_place_of, may_attend, options, with_value
from audit.mutation.operator import Around, Operator

_OPPOSITE: dict[type[cst.BaseCompOp], cst.BaseCompOp] = {cst.Equal: cst.NotEqual(), cst.NotEqual: cst.Equal()}


class FlipMask(Operator):
    """`~` goes away; what is filled where a mask holds is filled where it does not; both sides of `where` change."""

    name = "flip_mask"
    title = "a mask means its opposite"
    why = "padding is attended to and the text is not; with a mask that allows all, nothing shows"
    nodes = (cst.UnaryOperation, cst.Call)
    EXAMPLES = (
        ("s = s.masked_fill(~mask, -1e9)\n", ("s = s.masked_fill(mask, -1e9)\n",)),
        ("s = s.masked_fill(mask == 0, -1e9)\n", ("s = s.masked_fill(mask != 0, -1e9)\n",)),
        ("s.masked_fill_(mask, -1e9)\n", ("s.masked_fill_(~mask, -1e9)\n",)),
        ("s = torch.where(mask, s, low)\n", ("s = torch.where(mask, low, s)\n",)),
        ("key_mask = ~padding\n", ("key_mask = padding\n",)),
    )
    UNCHANGED = (
        "x = -mask\n",
        "i = torch.where(x > 0)\n",
        "def scaled(x, is_log):\n    return torch.where(is_log, x.log(), x)\n",  # of numbers, not of attention
    )

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the expression without `~`, or the call with the opposite mask."""
        if isinstance(node, cst.UnaryOperation):
            if isinstance(node.operator, cst.BitInvert):
                yield in_place_of(node, node.expression)
        elif isinstance(node, cst.Call) and called(node) in ("masked_fill", "masked_fill_"):
            mask = find(options(node), "mask", 0)
            if mask and not _is_inverted(mask.value):
                yield with_value(node, mask, _opposite(mask.value))
        elif isinstance(node, cst.Call) and called(node) == "where" and len(node.args) == 3 and may_attend(around):
            condition, first, second = node.args
            if not any(each.keyword or each.star for each in node.args):
                yield node.with_changes(
                    args=[condition, first.with_changes(value=second.value), second.with_changes(value=first.value)]
                )


def _is_inverted(mask: cst.BaseExpression) -> bool:
    return isinstance(mask, cst.UnaryOperation) and isinstance(mask.operator, cst.BitInvert)


def _opposite(mask: cst.BaseExpression) -> cst.BaseExpression:
    if isinstance(mask, cst.Comparison) and len(mask.comparisons) == 1:
        (comparison,) = mask.comparisons
        if opposite := _OPPOSITE.get(type(comparison.operator)):
            return mask.with_changes(comparisons=[comparison.with_changes(operator=opposite)])
    return cst.UnaryOperation(cst.BitInvert(), enclosed(mask))
