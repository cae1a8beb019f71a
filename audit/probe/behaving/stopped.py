"""Holds what a loss takes out of its derivative on purpose, so that differences of the loss are those of the rest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_DETACHING = (torch.Tensor.detach, torch.detach, torch.Tensor.data.__get__)  # type: ignore[attr-defined]


class Stopped:
    """What `detach`, `.data` and operations without gradients return in one run, for others to return the same."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held: list[torch.Tensor] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what is returned in the run that is inside."""
        self._held.clear()

        def note(tensor: torch.Tensor) -> torch.Tensor:
            self._held.append(tensor.detach().clone())
            return tensor

        with _Watching(note):
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Return what was noted in the place of what the run that is inside computes, in the same order."""
        left = iter(self._held)

        def replace(tensor: torch.Tensor) -> torch.Tensor:
            noted = next(left, None)
            return noted.clone() if noted is not None and noted.shape == tensor.shape else tensor

        with torch.enable_grad(), _Watching(replace):
            yield


class _Watching(TorchFunctionMode):
    """Passes what is computed without a gradient through a function, floating-point tensors that are new alone."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._change = change

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.is_floating_point():
            is_new = not any(result is each for each in args)
            if is_new and (func in _DETACHING or not torch.is_grad_enabled()):
                return self._change(result)
        return result
