"""Positions that begin at zero again."""

import re
from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, enclosed, in_place_of, is_position, text_of
from audit.mutation.operator import Around, Operator

_OFFSET = re.compile(r"(^|_|\.|\b)(offset|past\w*|start(_pos(ition)?)?|cache_len(gth)?|seen|input_pos|pos_offset)$")


class DropPositionOffset(Operator):
    """What is added to positions for the tokens before is left out."""

    name = "drop_position_offset"
    title = "positions ignore the tokens that came before"
    why = "decoding with a cache gives other logits than the full forward, and text degrades after the prompt"
    equivalent = "where nothing came before"
    nodes = (cst.BinaryOperation, cst.Call, cst.Arg)
    EXAMPLES = (
        ("p = torch.arange(n) + offset\n", ("p = torch.arange(n)\n",)),
        ("p = past_length + positions\n", ("p = positions\n",)),
        ("p = torch.arange(past, past + n)\n", ("p = torch.arange((past + n) - past)\n",)),
        ("q = rotate(q, offset=cache.length)\n", ("q = rotate(q, offset=0)\n",)),
        ("q = project(x, past_length=past_length)\n", ("q = project(x, past_length=0)\n",)),
    )
    UNCHANGED = ("n = a + b\n", "p = torch.arange(0, n)\n", "q = rotate(q, offset=0)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the positions without the offset."""
        if isinstance(node, cst.Arg):
            name = node.keyword.value if node.keyword else ""
            if _OFFSET.search(name) and text_of(node.value) != "0":
                yield node.with_changes(value=cst.Integer("0"))
        elif isinstance(node, cst.Call):
            if called(node) == "arange" and len(node.args) >= 2 and _OFFSET.search(text_of(node.args[0].value)):
                start, end, *others = node.args
                if start.keyword is None and end.keyword is None:
                    length = cst.BinaryOperation(_parenthesised(end.value), cst.Subtract(), enclosed(start.value))
                    yield node.with_changes(args=[end.with_changes(value=length), *others])
        elif isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
            for dropped, kept in ((node.right, node.left), (node.left, node.right)):
                if _OFFSET.search(text_of(dropped)) and (is_position(kept) or "arange" in text_of(kept)):
                    yield in_place_of(node, kept)
                    return


def _parenthesised(node: cst.BaseExpression) -> cst.BaseExpression:
    return node if node.lpar else node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
