"""A scale made of the wrong size."""

import re
from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import added, called, integer, is_root, names_in, parsed, text_of
from audit.mutation.operator import Around, Operator

_HEAD = re.compile(r"\b((?:\w+\.)*)(head_dim|dim_head|head_size|dim_per_head|d_head|d_k|d_kv|key_dim)\b")
_WHOLE = ("embed_dim", "hidden_size", "d_model", "n_embd", "dim", "num_heads", "n_head", "n_heads", "heads")


class WrongScaleSize(Operator):
    """The square root is taken of another size: of the length, of the model, or of twice the head."""

    name = "wrong_scale_size"
    title = "the scale is the root of the wrong size"
    why = "the scale then depends on the length or on the number of heads, and other shapes give other attention"
    equivalent = "where the two sizes are equal, as length and head in a careless test"
    nodes = (cst.Call, cst.BinaryOperation)
    EXAMPLES = (
        ("s = q @ k.mT / math.sqrt(q.size(-1))\n", ("s = q @ k.mT / math.sqrt(q.size(-2))\n",)),
        ("s = q.shape[-1] ** -0.5\n", ("s = q.shape[-2] ** -0.5\n",)),
        ("s = head_dim ** -0.5\n", ("s = (2 * head_dim) ** -0.5\n",)),
        (
            "def f(embed_dim, head_dim):\n    return math.sqrt(head_dim)\n",
            ("def f(embed_dim, head_dim):\n    return math.sqrt(embed_dim)\n",),
        ),
    )
    UNCHANGED = ("x = math.sqrt(2)\n", "y = variance ** 0.5\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the root of another size."""
        if isinstance(node, cst.BinaryOperation):
            if is_root(node):
                for size in _sizes(node.left, around):
                    yield node.with_changes(left=size)
        elif isinstance(node, cst.Call) and called(node) == "sqrt" and len(node.args) == 1:
            for size in _sizes(node.args[0].value, around):
                inner = size.with_changes(lpar=[], rpar=[])
                yield node.with_changes(args=[node.args[0].with_changes(value=inner)])


def _sizes(size: cst.BaseExpression, around: Around) -> Iterator[cst.BaseExpression]:
    if isinstance(size, cst.Call) and called(size) == "size" and len(size.args) == 1:
        if (axis := integer(size.args[0].value)) is not None and axis < 0:
            yield size.with_changes(args=[size.args[0].with_changes(value=added(size.args[0].value, -1))])
        return
    if isinstance(size, cst.Subscript) and text_of(size.value).endswith("shape"):
        index = size.slice[0].slice
        if isinstance(index, cst.Index) and (axis := integer(index.value)) is not None and axis < 0:
            element = size.slice[0].with_changes(slice=index.with_changes(value=added(index.value, -1)))
            yield size.with_changes(slice=[element])
        return
    text = text_of(size)
    if not (found := _HEAD.search(text)):
        return
    owner = found.group(1)
    scope = around.class_ if owner == "self." else around.function
    known = names_in(scope) if scope else set()
    for name in _WHOLE:
        if name in known and (not owner or not scope or f"{owner}{name}" in text_of(scope)):
            yield parsed(text.replace(found.group(0), f"{owner}{name}", 1))
            return
    yield parsed(f"(2 * {text})")
