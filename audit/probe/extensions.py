"""Runs a model without the target's compiled extensions, as where they could not be built."""

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence

import torch

from .outputs import flatten
from .parts import built, forward, inputs_of
from .tensors import dump

_DRAWS = 8


class _Without(importlib.abc.MetaPathFinder):
    """Finds nothing, and lets no other finder find what is left out."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def run_with(specs: str, name: str, seed: int, batch_size: int, extensions: list[str]) -> dict[str, object]:
    """Run a model as it is.

    Returns:
        `output`; `loaded`: which of the extensions the process has imported; `disturbed`: outputs where each weight and
        each input was changed by about the rounding of its dtype, one for each of several draws.
    """
    model = built(specs, name, seed).eval()
    output = dump(flatten(forward(model, inputs_of(specs, name, seed, batch_size))))
    disturbed = []
    for draw in range(_DRAWS):
        generator = torch.Generator().manual_seed(seed + draw)
        other = built(specs, name, seed).eval()
        with torch.no_grad():
            for tensor in other.parameters():
                tensor.copy_(_rounded(tensor, generator))
        inputs = {
            key: _rounded(value, generator) if isinstance(value, torch.Tensor) else value
            for key, value in inputs_of(specs, name, seed, batch_size).items()
        }
        disturbed.append(dump(flatten(forward(other, inputs))))
    loaded = [extension for extension in extensions if extension in sys.modules]
    return {"output": output, "loaded": loaded, "disturbed": disturbed}


def run_without(specs: str, name: str, seed: int, batch_size: int, extensions: list[str]) -> dict[str, object]:
    """Run a model where the extensions cannot be imported; for a process that has not imported the target yet."""
    if not any(isinstance(finder, _Without) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Without(extensions))
    model = built(specs, name, seed).eval()
    return {"output": dump(flatten(forward(model, inputs_of(specs, name, seed, batch_size))))}


def _rounded(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return the tensor with each element changed by a normal share of the rounding of its dtype."""
    if not tensor.is_floating_point():
        return tensor
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.device)
    changed = tensor.detach().double() * (1 + torch.finfo(tensor.dtype).eps * noise)
    return changed.to(tensor.dtype)
