"""Where numbers lose digits on their way: operations that take float64 and give less."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .functions import Depth, watched_functions

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
        self._depth = Depth()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Begin to look."""
        self._depth = self._stack.enter_context(watched_functions())
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: Any) -> None:
        """Look no longer."""
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        self._stack.close()

    def __torch_dispatch__(
        self, func: object, types: object, args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        """Run the operation and compare the dtypes of what it takes and gives."""
        assert callable(func)
        given = dict(kwargs or {})
        result = func(*args, **given)
        # In a Function's forward nothing has a gradient, and its backward gives one to all that it is given.
        within = self._depth.entered > 0
        if (within or torch.is_grad_enabled()) and any(
            _is_finest(leaf) and (within or leaf.requires_grad) for leaf in tree_leaves((args, given))
        ):
            for leaf in tree_leaves(result):
                if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and leaf.dtype != _FINEST:
                    self._note(leaf.dtype)
        return result

    def _note(self, dtype: torch.dtype) -> None:
        if self.dtype is None or torch.finfo(dtype).eps > torch.finfo(self.dtype).eps:
            self.dtype = dtype


def _is_finest(leaf: object) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.dtype == _FINEST
