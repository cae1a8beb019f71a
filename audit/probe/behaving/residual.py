"""Runs a model with the residual branches of its blocks silent, and with one of them alone."""

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from ..outputs import flatten
from ..parts import built, forward, inputs_of
from ..tensors import dump

_MOST_CALLS = 4  # of a block in one forward


def residual(
    specs: str, name: str, seed: int, batch_size: int, residual: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    """Run a batch with all branches silent, and with each branch alone.

    A branch is silent where its last layer returns zeros, whatever its parameters are.

    Args:
        specs: the target's specs.
        name: of the model.
        seed: of weights and inputs.
        batch_size: samples.
        residual: names of blocks, `*` for any part of a name, each with the names of the last layers of its branches,
            counted from the block.

    Returns:
        `blocks`, pairs of the name of a block and the names of its layers. `silent` has for the call c of the block i
        `<i>.<c>.returned` and `<i>.<c>.given`, the first tensor argument of the same shape; `alone.<b>` the same where
        of each block the branch b alone speaks, and `<i>.said`, the largest number that its last layer returned.

    Raises:
        KeyError: a name is of no part of the model.
    """
    model = built(specs, name, seed).eval()
    blocks = {path: list(layers) for pattern, layers in residual.items() for path in _matching(model, pattern)}
    inputs = inputs_of(specs, name, seed, batch_size)
    reply: dict[str, object] = {"blocks": [[path, list[object](layers)] for path, layers in blocks.items()]}
    reply["silent"] = dump(_seen(model, blocks, inputs, speaking=None))
    for branch in range(max(map(len, blocks.values()))):
        reply[f"alone.{branch}"] = dump(_seen(model, blocks, inputs, speaking=branch))
    return reply


def _matching(model: nn.Module, pattern: str) -> list[str]:
    found = [path for path, _ in model.named_modules() if path and fnmatch.fnmatchcase(path, pattern)]
    found = [path for path in found if path.count(".") == pattern.count(".")]
    if not found:
        raise KeyError(f"no part of the model is called {pattern}")
    return found


def _part(model: nn.Module, path: str, layer: str) -> nn.Module:
    try:
        return model.get_submodule(path).get_submodule(layer)
    except AttributeError as missing:
        raise KeyError(f"{path} has no part {layer}") from missing


def _seen(
    model: nn.Module, blocks: Mapping[str, Sequence[str]], inputs: Any, *, speaking: int | None
) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    with ExitStack() as stack:
        for index, (path, layers) in enumerate(blocks.items()):
            for branch, layer in enumerate(layers):
                part = _part(model, path, layer)
                if branch == speaking:
                    stack.enter_context(_hooked(part, _noting(found, f"{index}.said")))
                else:
                    stack.enter_context(_hooked(part, lambda output: _zeros(output)))
            stack.enter_context(_watched(model.get_submodule(path), found, index))
        with torch.no_grad():
            forward(model, inputs)
    return found


@contextmanager
def _hooked(part: nn.Module, change: Callable[[Any], Any]) -> Iterator[None]:
    handle = part.register_forward_hook(lambda module, args, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def _noting(found: dict[str, torch.Tensor], name: str) -> Callable[[Any], Any]:
    def note(output: Any) -> Any:
        sizes = [each.detach().abs().max().double() for each in flatten(output).values() if each.numel()]
        found[name] = torch.stack([*sizes, found.get(name, torch.zeros((), dtype=torch.float64))]).max()
        return output

    return note


@contextmanager
def _watched(block: nn.Module, found: dict[str, torch.Tensor], index: int) -> Iterator[None]:
    """Keep what the block is given, as it was before the block ran, and what it returns."""
    given: list[list[torch.Tensor]] = []
    calls: list[None] = []

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensors = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor)]
        given.append([each.detach().clone() for each in tensors if each.is_floating_point()])

    def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        taken = given.pop()
        returned = next(iter(flatten(output).values()), None)
        alike = next((each for each in taken if returned is not None and each.shape == returned.shape), None)
        if returned is not None and alike is not None and len(calls) < _MOST_CALLS:
            found[f"{index}.{len(calls)}.returned"] = returned.detach().clone()
            found[f"{index}.{len(calls)}.given"] = alike.to(returned.dtype)
        calls.append(None)

    handles = (
        block.register_forward_pre_hook(before, with_kwargs=True),
        block.register_forward_hook(after, with_kwargs=True),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _zeros(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return torch.zeros_like(output)
    if isinstance(output, tuple | list):
        return type(output)(_zeros(each) for each in output)
    return output
