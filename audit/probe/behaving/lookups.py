"""Puts other rows of a table in the place of those that the padding among tokens looks up."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Where the numbers of rows are among the arguments of what looks them up, and what they are called.
_LOOKUPS: dict[object, tuple[int, str]] = {
    functional.embedding: (0, "input"),
    torch.embedding: (1, "indices"),
    torch.Tensor.__getitem__: (1, ""),
}
_PADDING_INDEX = 2  # among the arguments of torch.nn.functional.embedding


class Replacing(TorchFunctionMode):
    """While it is entered, what tokens look up in a table is replaced where they are padding.

    `lookups` counts what was replaced; `stays_zero` tells whether all of it was rows of zeros that a table keeps by its
    `padding_idx`, which training leaves as they are.
    """

    def __init__(
        self,
        tokens: torch.Tensor,
        kept: torch.Tensor,
        pad_id: int,
        replaced: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        """Note which of the tokens (B, L) are `kept`, and what makes other rows (B, L, ...) of those looked up."""
        super().__init__()
        self._tokens, self._kept, self._pad_id, self._replaced = tokens, kept, pad_id, replaced
        self.lookups = 0
        self.stays_zero = True

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function, and replace rows in what it returns where it looks the tokens up."""
        given = kwargs or {}
        found = func(*args, **given)
        if func not in _LOOKUPS:
            return found
        place, name = _LOOKUPS[func]
        index = args[place] if len(args) > place else given.get(name)
        if not self._are_tokens(index) or not isinstance(found, torch.Tensor) or not found.is_floating_point():
            return found
        self.lookups += 1
        self.stays_zero = self.stays_zero and func is functional.embedding and self._is_kept_zero(args, given)
        return self._replaced(found)

    def _are_tokens(self, index: object) -> bool:
        """Whether these are the tokens, at the positions that count: what stands for padding may be another number."""
        if not isinstance(index, torch.Tensor) or index.shape != self._tokens.shape or index.dtype == torch.bool:
            return False
        return torch.equal(index[self._kept].long(), self._tokens[self._kept].long())

    def _is_kept_zero(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> bool:
        weight = args[1] if len(args) > 1 else given.get("weight")
        index = args[_PADDING_INDEX] if len(args) > _PADDING_INDEX else given.get("padding_idx")
        return index == self._pad_id and isinstance(weight, torch.Tensor) and not bool(weight[index].any())
