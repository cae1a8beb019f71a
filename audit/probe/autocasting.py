"""Tells whether a forward turns torch's autocast on by itself, and for which dtype."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .callee import callee_of
from .tensors import load
from .tracing.trace import leaves_of


def autocast_of(
    subject: dict[str, object], declared: str, seed: int, dtype: str, calls: list[dict[str, object]], tensors: bytes
) -> dict[str, object]:
    """Build the subject, call it, and tell which dtypes autocast was turned on for meanwhile.

    Args:
        subject: what is built and called, as `callee_of` takes it.
        declared: the class that it must be, `module:qualname`; a module of another class is not called.
        seed: of the weights.
        dtype: of the weights; the inputs arrive in it.
        calls: one, which names its tensors by their keys in `tensors`.
        tensors: the inputs, in the safetensors format.

    Returns:
        `class` and `parameters` of a module; `autocast`: dtypes, without "torch." before them.
    """
    inputs = load(tensors)
    callee = callee_of(subject, seed, dtype)
    if callee.identity["class"] not in (None, declared):
        return callee.identity
    (call,) = calls
    with torch.no_grad(), _entered() as seen:
        callee.call(leaves_of(inputs, call), call)
    return callee.identity | {"autocast": list[object](seen)}


@contextmanager
def _entered() -> Iterator[list[str]]:
    """Yield a list that fills with the dtypes for which autocast is entered."""
    seen: list[str] = []
    own: Any = torch.autocast.__enter__

    def enter(self: Any) -> Any:
        if self._enabled:
            seen.append(str(self.fast_dtype).removeprefix("torch."))
        return own(self)

    torch.autocast.__enter__ = enter  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        torch.autocast.__enter__ = own  # type: ignore[method-assign]
