"""Products of two tensors over a common axis, whichever operation computes them, as rows times rows."""

from dataclasses import dataclass, field

import torch

from .graph import is_bare
from .recording import Node, Value


@dataclass(frozen=True)
class Product:
    """`out[e] = alpha * left_rows[left[e]] . right_rows[right[e]]`, for every element of the output."""

    node: Node
    left: Value
    right: Value
    at: tuple[int, int]  # of both among the node's inputs
    summed: tuple[int, ...] = ()  # axes that a sum over a product has added up, in their common shape
    common: torch.Size = field(default_factory=torch.Size)
    alpha: float = 1.0

    @property
    def size(self) -> int:
        """How many products are added up for one element."""
        if self.summed:
            size = 1
            for axis in self.summed:
                size *= self.common[axis]
            return size
        return int(self.left.shape[-1])

    def rows(self, tensor: torch.Tensor, *, of_left: bool) -> torch.Tensor:
        """Return an operand as rows (number, size), each of which is contracted with one of the other's."""
        if not self.summed:
            return (tensor if of_left else tensor.mT).reshape(-1, self.size)
        padded = tensor.reshape((1,) * (len(self.common) - tensor.ndim) + tuple(tensor.shape))
        kept = [axis for axis in range(padded.ndim) if axis not in self.summed]
        moved = padded.permute(*kept, *self.summed)
        full = moved.expand(*moved.shape[: len(kept)], *(self.common[axis] for axis in self.summed))
        return full.reshape(-1, self.size)

    def labels(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return for every element of the output the numbers of its left and its right row."""
        shape = self.node.outputs[0].tensor.shape
        if not self.summed:
            batch = shape[0] if len(shape) == 3 else 1
            rows, columns = shape[-2], shape[-1]
            left = torch.arange(batch * rows).reshape(batch, rows, 1).expand(batch, rows, columns)
            right = torch.arange(batch * columns).reshape(batch, 1, columns).expand(batch, rows, columns)
            return left.reshape(shape), right.reshape(shape)
        return self._labels_of(self.left).reshape(shape), self._labels_of(self.right).reshape(shape)

    def _labels_of(self, operand: Value) -> torch.Tensor:
        padded = (1,) * (len(self.common) - operand.tensor.ndim) + tuple(operand.shape)
        kept = [axis for axis in range(len(padded)) if axis not in self.summed]
        number = 1
        for axis in kept:
            number *= padded[axis]
        label = torch.arange(number).reshape([padded[axis] for axis in kept])
        return label.expand([self.common[axis] for axis in kept])

    def contracted(self, at: int) -> tuple[int, ...]:
        """Return the axes of the operand at an input position that are added up."""
        operand = self.node.inputs[at] if not self.summed else (self.left, self.right)[self.at.index(at)]
        if self.summed:
            missing = len(self.common) - operand.tensor.ndim
            return tuple(axis - missing for axis in self.summed if axis >= missing)
        return (operand.tensor.ndim - 1,) if at == self.at[0] else (operand.tensor.ndim - 2,)


def product_of(node: Node) -> Product | None:
    """Return the operation as a product, if it is one."""
    if node.name in ("bmm", "mm") and len(node.inputs) == 2:
        return Product(node, node.inputs[0], node.inputs[1], (0, 1))
    if node.name in ("baddbmm", "addmm") and len(node.inputs) == 3:
        alpha = node.kwargs.get("alpha", 1)
        scaled = float(alpha) if isinstance(alpha, int | float) else 1.0
        return Product(node, node.inputs[1], node.inputs[2], (1, 2), alpha=scaled)
    if node.name == "sum" and len(node.inputs) == 1 and len(node.args) > 1 and isinstance(node.args[1], list | tuple):
        return _summed(node, node.args[1])
    return None


def _summed(node: Node, axes: list[object] | tuple[object, ...]) -> Product | None:
    factor = node.inputs[0].node
    if factor is None or factor.name != "mul" or len(factor.inputs) != 2 or not axes:
        return None
    left, right = factor.inputs
    common = factor.outputs[0].tensor.shape
    summed = tuple(sorted(axis % len(common) for axis in axes if isinstance(axis, int)))
    for operand in (left, right):
        padded = (1,) * (len(common) - operand.tensor.ndim) + tuple(operand.shape)
        if any(padded[axis] != common[axis] for axis in summed):
            return None
    both = left.tensor.numel() == right.tensor.numel() == common.numel()
    if left is right or left.node is right.node is not None or (both and common.numel() == 1):
        return None
    return Product(node, left, right, (0, 1), summed=summed, common=common)


def is_linear(product: Product) -> bool:
    """Whether one side is a weight as it is, as in a linear layer."""
    return is_bare(product.left) or is_bare(product.right)
