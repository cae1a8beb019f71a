"""Where numbers lose digits on their way: operations that take float64 and give less."""

from collections.abc import Mapping

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_FINEST = torch.float64


class Cuts(TorchDispatchMode):
    """While it is entered, `dtype` is the coarsest to which a number in float64 has been cut; None where none was.

    Only what is cut counts, and only on the way of a gradient: a table that is made in float32 is as exact as it is,
    and takes nothing from the rest.
    """

    def __init__(self) -> None:
        """Have seen nothing yet."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype: torch.dtype | None = None

    def __torch_dispatch__(
        self, func: object, types: object, args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        """Run the operation and compare the dtypes of what it takes and gives."""
        assert callable(func)
        given = dict(kwargs or {})
        result = func(*args, **given)
        if any(_is_finest(leaf) for leaf in tree_leaves((args, given))):
            for leaf in tree_leaves(result):
                if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and leaf.dtype != _FINEST:
                    self._note(leaf.dtype)
        return result

    def _note(self, dtype: torch.dtype) -> None:
        if self.dtype is None or torch.finfo(dtype).eps > torch.finfo(self.dtype).eps:
            self.dtype = dtype


def _is_finest(leaf: object) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.dtype == _FINEST and leaf.requires_grad
