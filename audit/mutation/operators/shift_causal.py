"""A causal rule that is off by one."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import added, called, find, is_position, options, with_keyword, with_value
from audit.mutation.operator import Around, Operator

_NEIGHBOUR: dict[type[cst.BaseCompOp], cst.BaseCompOp] = {
    cst.LessThanEqual: cst.LessThan(),
    cst.LessThan: cst.LessThanEqual(),
    cst.GreaterThanEqual: cst.GreaterThan(),
    cst.GreaterThan: cst.GreaterThanEqual(),
}
_TRIANGLES = ("tril", "triu", "tril_", "triu_")


class ShiftCausal(Operator):
    """The diagonal of a triangle moves by one, either way; a comparison of positions gains or loses the equal ones."""

    name = "shift_causal"
    title = "a comparison of positions, as of a causal rule or of lengths, is off by one"
    why = (
        "each token sees the one it has to predict, or does not see itself, or one position of padding counts: losses "
        "look fine, generation fails"
    )
    nodes = (cst.Call, cst.Comparison)
    EXAMPLES = (
        ("m = ones.tril()\n", ("m = ones.tril(diagonal=1)\n", "m = ones.tril(diagonal=-1)\n")),
        ("m = torch.triu(ones, 1)\n", ("m = torch.triu(ones, 2)\n", "m = torch.triu(ones, 0)\n")),
        (
            "m = ones.tril(diagonal=k - q)\n",
            ("m = ones.tril(diagonal=k - q + 1)\n", "m = ones.tril(diagonal=k - q - 1)\n"),
        ),
        ("m = rows >= cols\n", ("m = rows > cols\n",)),
        ("m = (q_pos[:, None] < k_pos)\n", ("m = (q_pos[:, None] <= k_pos)\n",)),
    )
    UNCHANGED = (
        "if query < key:\n    pass\n",
        "m = a >= b\n",
        "ok = rows == cols\n",
        "def f(rows):\n    assert rows > 1\n",
    )

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the triangle moved up and down, or the comparison with the neighbouring operator."""
        if isinstance(node, cst.Comparison):
            yield from _compared(node, around)
        elif isinstance(node, cst.Call) and called(node) in _TRIANGLES:
            given = find(options(node), "diagonal", 0)
            for amount in (1, -1):
                if given:
                    yield with_value(node, given, added(given.value, amount))
                else:
                    yield with_keyword(node, "diagonal", str(amount))


def _compared(node: cst.Comparison, around: Around) -> Iterator[cst.CSTNode]:
    if len(node.comparisons) != 1 or around.is_condition or not is_position(node):
        return
    (comparison,) = node.comparisons
    if neighbour := _NEIGHBOUR.get(type(comparison.operator)):
        yield node.with_changes(comparisons=[comparison.with_changes(operator=neighbour)])
