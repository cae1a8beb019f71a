"""Where a cache is in what a call returns: its path, and what is there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch


def parts(answer: object) -> Iterator[tuple[list[object], object]]:
    """Yield the parts of an answer that may be a cache, each with its path."""
    if isinstance(answer, Mapping):
        yield from ((list[object]([key]), value) for key, value in answer.items())
    elif isinstance(answer, list | tuple):
        yield from ((list[object]([index]), value) for index, value in enumerate(answer))
        if len(answer) > 2:
            yield [{"from": 1}], tuple(answer[1:])
    elif not isinstance(answer, torch.Tensor):
        yield from ((list[object]([f".{key}"]), value) for key, value in getattr(answer, "__dict__", {}).items())


def tensors(value: object) -> list[torch.Tensor]:
    """Return the tensors in what may be a cache, at any depth."""
    if isinstance(value, torch.Tensor):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    inner = inner or getattr(value, "__dict__", {}).values()
    return [tensor for each in inner for tensor in tensors(each)]


def at(answer: object, path: Sequence[object]) -> object:
    """Return what is at this path of an answer."""
    value: Any = answer
    for part in path:
        if isinstance(part, Mapping):
            value = tuple(value[int(part["from"]) :])
        elif isinstance(part, str) and part.startswith(".") and not isinstance(value, Mapping):
            value = getattr(value, part[1:])
        else:
            value = value[part]
    return value
