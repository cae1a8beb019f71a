"""Queries and keys in each other's place."""

from collections.abc import Iterator

import libcst as cst

from audit.mutation.forms import called, plain
from audit.mutation.operator import Around, Operator

_FUSED = ("scaled_dot_product_attention", "flash_attn_func", "flex_attention", "memory_efficient_attention")


class SwapQueryKey(Operator):
    """The first two operands of attention change places."""

    name = "swap_query_key"
    title = "queries and keys are exchanged"
    why = "the matrix of weights is transposed: each key asks what it should answer"
    equivalent = "where queries and keys are the same and nothing is masked"
    nodes = (cst.Call, cst.BinaryOperation, cst.Tuple)
    EXAMPLES = (
        ("y = F.scaled_dot_product_attention(q, k, v)\n", ("y = F.scaled_dot_product_attention(k, q, v)\n",)),
        ("s = q @ k.transpose(-2, -1)\n", ("s = k @ q.transpose(-2, -1)\n",)),
        ("s = torch.matmul(q, k.mT)\n", ("s = torch.matmul(k, q.mT)\n",)),
        ("q, k, v = self.qkv(x).chunk(3, -1)\n", ("k, q, v = self.qkv(x).chunk(3, -1)\n",)),
    )
    UNCHANGED = ("y = w @ v\n", "a, b, c = x\n", "f(q, k, v)\n", "y = (q, k, v)\n")

    def edits(self, node: cst.CSTNode, around: Around) -> Iterator[cst.CSTNode]:
        """Yield the expression with the two exchanged."""
        if isinstance(node, cst.Call) and len(node.args) >= 2 and all(map(plain, node.args[:2])):
            first, second = node.args[0], node.args[1]
            if called(node) in _FUSED:
                changed = [first.with_changes(value=second.value), second.with_changes(value=first.value)]
                yield node.with_changes(args=[*changed, *node.args[2:]])
            elif called(node) in ("matmul", "bmm") and (swapped := _swapped(first.value, second.value)):
                changed = [first.with_changes(value=swapped[0]), second.with_changes(value=swapped[1])]
                yield node.with_changes(args=[*changed, *node.args[2:]])
        elif isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.MatrixMultiply):
            if swapped := _swapped(node.left, node.right):
                yield node.with_changes(left=swapped[0], right=swapped[1])
        elif isinstance(node, cst.Tuple) and isinstance(around.parent, cst.AssignTarget) and len(node.elements) == 3:
            query, key, value = node.elements
            if [_initial(each.value) for each in node.elements] == ["q", "k", "v"]:
                changed_elements = [query.with_changes(value=key.value), key.with_changes(value=query.value), value]
                yield node.with_changes(elements=changed_elements)


def _initial(node: cst.BaseExpression) -> str:
    return node.value[0].lower() if isinstance(node, cst.Name) else ""


def _swapped(
    left: cst.BaseExpression, right: cst.BaseExpression
) -> tuple[cst.BaseExpression, cst.BaseExpression] | None:
    """Return both sides of `q @ k.transpose(...)` exchanged; None where the right side is no transposed name."""
    transposed: cst.BaseExpression = right.func if isinstance(right, cst.Call) else right
    if not isinstance(left, cst.Name) or not isinstance(transposed, cst.Attribute):
        return None
    if transposed.attr.value not in ("transpose", "mT", "T", "permute") or not isinstance(transposed.value, cst.Name):
        return None
    swapped = right.deep_replace(transposed.value, left)
    assert isinstance(swapped, cst.BaseExpression)
    return transposed.value, swapped
