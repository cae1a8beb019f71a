"""Runs a model with the last layers of its residual branches at zero, and looks at what each block returns."""

import fnmatch
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from ..outputs import flatten
from ..parts import built, forward, inputs_of
from ..tensors import dump


def residual(
    specs: str, name: str, seed: int, batch_size: int, residual: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    """Run a batch as it is, and with every parameter of the branches' last layers at zero.

    Args:
        specs: the target's specs.
        name: of the model.
        seed: of weights and inputs.
        batch_size: samples.
        residual: names of blocks, `*` for any part of a name, each with the names of the last layers of its branches,
            counted from the block.

    Returns:
        `blocks`, the names of those that were run; for each by its number what it was given first and what it
        returned, as `given.<i>` and `returned.<i>`, and `before.<i>`, what it returned with its own weights.

    Raises:
        KeyError: a name is of no part of the model.
    """
    model = built(specs, name, seed).eval()
    blocks = [(path, layers) for pattern, layers in residual.items() for path in _matching(model, pattern)]
    inputs = inputs_of(specs, name, seed, batch_size)
    before = _seen(model, [path for path, _ in blocks], inputs)
    for path, layers in blocks:
        for layer in layers:
            for parameter in _part(model.get_submodule(path), path, layer).parameters():
                parameter.data.zero_()
    after = _seen(model, [path for path, _ in blocks], inputs)
    reply: dict[str, object] = {"blocks": list[object](after)}
    for index, (path, (given, returned)) in enumerate(after.items()):
        reply |= {f"given.{index}": dump({"it": given}), f"returned.{index}": dump({"it": returned})}
        reply[f"before.{index}"] = dump({"it": before[path][1]})
    return reply


def _matching(model: nn.Module, pattern: str) -> list[str]:
    found = [path for path, _ in model.named_modules() if path and fnmatch.fnmatchcase(path, pattern)]
    found = [path for path in found if path.count(".") == pattern.count(".")]
    if not found:
        raise KeyError(f"no part of the model is called {pattern}")
    return found


def _part(block: nn.Module, path: str, layer: str) -> nn.Module:
    try:
        return block.get_submodule(layer)
    except AttributeError as missing:
        raise KeyError(f"{path} has no part {layer}") from missing


def _seen(model: nn.Module, paths: Sequence[str], inputs: Any) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return the first tensor that each block was given and the first that it returned, of its first call."""
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def look(path: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = next((each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor)), None)
        returned = next(iter(flatten(output).values()), None)
        if path not in found and given is not None and returned is not None:
            found[path] = given.detach().clone(), returned.detach().clone()

    hooks = [model.get_submodule(path).register_forward_hook(partial(look, path), with_kwargs=True) for path in paths]
    try:
        with torch.no_grad():
            forward(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found
