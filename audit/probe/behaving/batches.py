"""Takes the inputs of a model apart: which of its tensors hold one entry for each sample, and those of some samples."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..outputs import flatten
from ..parts import inputs_of

Inputs = Mapping[str, object]
Change = Callable[[str, torch.Tensor], torch.Tensor]


def changed(inputs: Inputs, change: Change) -> dict[str, object]:
    """Return the inputs with every tensor in their dicts, lists and tuples replaced by `change(path, tensor)`."""
    return {key: _changed(value, f"inputs.{key}", change) for key, value in inputs.items()}


def _changed(value: Any, path: str, change: Change) -> object:
    if isinstance(value, torch.Tensor):
        return change(path, value)
    if isinstance(value, Mapping):
        return {key: _changed(item, f"{path}.{key}", change) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_changed(item, f"{path}.{index}", change) for index, item in enumerate(value))
    return value


def tensors_of(inputs: Inputs) -> dict[str, torch.Tensor]:
    """Return the tensors of the inputs by their paths, which begin with `inputs.`."""
    return flatten(inputs, "inputs")


def copied(inputs: Inputs) -> dict[str, object]:
    """Return the inputs with a copy of every tensor, laid out as it is."""
    return changed(inputs, lambda path, tensor: tensor.detach().clone())


def per_sample(specs: str, name: str, seed: int, batch_size: int) -> frozenset[str]:
    """Return the paths of the tensors whose first axis is the batch: it follows the batch size."""
    first = tensors_of(inputs_of(specs, name, seed, batch_size))
    other = tensors_of(inputs_of(specs, name, seed, batch_size + 1))
    return frozenset(
        path
        for path, tensor in first.items()
        if tensor.dim() and tensor.shape[0] == batch_size
        if path in other and other[path].dim() and other[path].shape[0] == batch_size + 1
    )


def samples(inputs: Inputs, batched: frozenset[str], chosen: slice) -> dict[str, object]:
    """Return the inputs of some samples; what does not follow the batch is given whole."""
    return changed(inputs, lambda path, tensor: tensor[chosen] if path in batched else tensor)


def in_dtype(inputs: Inputs, dtype: torch.dtype) -> dict[str, object]:
    """Return the inputs with every real floating-point tensor in `dtype`."""
    return changed(inputs, lambda path, tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
