"""Holds what a loss takes out of its derivative on purpose, so that differences of the loss are those of the rest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .functions import Depth, watched_functions

_DETACHING = (torch.Tensor.detach, torch.detach, torch.Tensor.data.__get__)  # type: ignore[attr-defined]
_IN_PLACE = torch.Tensor.detach_
_TO_NUMBERS = (torch.Tensor.item, torch.Tensor.__float__, torch.Tensor.tolist)


class Stopped:
    """What is detached, or computed without gradients, in one run, for others to return the same.

    Within the forward of an autograd.Function nothing is: there nothing has a gradient, and its backward gives one.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held: list[Any] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what is returned in the run that is inside."""
        self._held.clear()

        def note(value: Any) -> Any:
            self._held.append(value.detach().clone() if isinstance(value, torch.Tensor) else value)
            return value

        with _watching(note):
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Return what was noted in the place of what the run that is inside computes, in the same order."""
        left = iter(self._held)

        def replace(value: Any) -> Any:
            noted = next(left, None)
            if isinstance(value, torch.Tensor):
                if isinstance(noted, torch.Tensor) and noted.shape == value.shape:
                    return noted.clone()
                return value
            return noted if type(noted) is type(value) else value

        with torch.enable_grad(), _watching(replace):
            yield


@contextmanager
def _watching(change: Callable[[Any], Any]) -> Iterator[None]:
    with watched_functions(lambda output: _mapped(output, change)) as depth, _Watching(change, depth):
        yield


class _Watching(TorchFunctionMode):
    """Passes what is detached, or computed without a gradient, through a function."""

    def __init__(self, change: Callable[[Any], Any], depth: Depth) -> None:
        super().__init__()
        self._change, self._depth = change, depth

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._depth.entered:
            return result
        if func in _TO_NUMBERS or func in _DETACHING:
            return _mapped(result, self._change)
        if func is _IN_PLACE:
            with torch.no_grad():
                return result.copy_(self._change(result))
        if torch.is_grad_enabled():
            return result
        given = [each for each in (*args, *(kwargs or {}).values()) if isinstance(each, torch.Tensor)]
        return _mapped(result, lambda value: value if _is_written_through(value, given) else self._change(value))


def _mapped(result: Any, change: Callable[[Any], Any]) -> Any:
    """Return the result with `change` of its floating-point tensors, or of what it is where it is no tensor."""
    if isinstance(result, torch.Tensor):
        return change(result) if result.is_floating_point() else result
    if isinstance(result, tuple):
        items = [_mapped(each, change) for each in result]
        of_type: Any = type(result)
        return of_type(*items) if hasattr(result, "_fields") else of_type(items)
    if isinstance(result, list) and any(isinstance(each, torch.Tensor) for each in result):
        return [_mapped(each, change) for each in result]
    return change(result) if isinstance(result, int | float | list) else result


def _is_written_through(value: Any, given: Sequence[torch.Tensor]) -> bool:
    """Whether the value is a part of a tensor that was given, and no later stage of what has a gradient.

    A copy in its place would lose what is written into it.
    """
    if not isinstance(value, torch.Tensor):
        return True  # sizes, flags: found in the same way each time
    place = value.untyped_storage().data_ptr()
    return any(
        each is value or (each.untyped_storage().data_ptr() == place and (each.is_leaf or not each.requires_grad))
        for each in given
        if each.layout is torch.strided
    )
