"""Runs a model with the residual branches of its blocks silent, and with one of them alone."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..outputs import flatten, replaced
from ..parts import built, forward, inputs_of
from ..tensors import dump
from .misdeclared import Misdeclared, matching, nearest, quoted

_MOST_CALLS = 4  # of a block in one forward


def residual(
    specs: str, name: str, seed: int, batch_size: int, residual: Mapping[str, Sequence[str]], disturbed: bool
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
        disturbed: whether every zero among the parameters is replaced by noise first: a branch that begins as zero,
            by its last layer or by a factor behind it, is none to look at before that.

    Returns:
        `blocks`, pairs of the name of a block and the names of its layers. `silent` has for the call c of the block i,
        and each pair t of a tensor that it returned with one of that shape that it was given, `<i>.<c>.<t>.returned`
        and `<i>.<c>.<t>.given`; t is `<number of the given one>-<number of the returned one>`. `other` has the same
        with another batch, `alone.<b>` where of each block the branch b alone speaks, and `<i>.said`, the largest
        number that its last layer returned.

    Raises:
        Misdeclared: a name is of no part of the model.
    """
    model = built(specs, name, seed).eval()
    if disturbed:
        _disturb(model, seed)
    blocks = {path: list(layers) for pattern, layers in residual.items() for path in _matching(model, pattern)}
    inputs = inputs_of(specs, name, seed, batch_size)
    reply: dict[str, object] = {"blocks": [[path, list[object](layers)] for path, layers in blocks.items()]}
    reply["silent"] = dump(_seen(model, blocks, inputs, speaking=None))
    reply["other"] = dump(_seen(model, blocks, inputs_of(specs, name, seed + 1, batch_size), speaking=None))
    for branch in range(max(map(len, blocks.values()))):
        reply[f"alone.{branch}"] = dump(_seen(model, blocks, inputs, speaking=branch))
    return reply


def _disturb(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and not is_lazy(parameter):
                # Of such a size that a layer which was zero returns numbers of the size of those that it is given.
                noise = torch.randn(parameter.shape, generator=generator) / max(1, parameter.shape[1:].numel()) ** 0.5
                parameter.copy_(torch.where(parameter == 0, noise.to(parameter.device, parameter.dtype), parameter))


def _matching(model: nn.Module, pattern: str) -> list[str]:
    paths = [path for path, _ in model.named_modules() if path]
    found = [path for path in matching(paths, pattern) if path.count(".") == pattern.count(".")]
    if not found:
        repeated = (re.sub(r"(?<=\.)\d+(?=\.|$)", "*", path) for path in paths)
        known = paths if "*" not in pattern else list(repeated)
        raise Misdeclared(f"no part of the model is called {quoted(pattern)}{nearest(pattern, known)}")
    return found


def _part(model: nn.Module, path: str, layer: str) -> nn.Module:
    block = model.get_submodule(path)
    try:
        return block.get_submodule(layer)
    except AttributeError as missing:
        known = [name for name, _ in block.named_modules() if name]
        raise Misdeclared(f"{path!r} has no part {layer!r}{nearest(layer, known)}") from missing


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
                    stack.enter_context(_hooked(part, _zeros))
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
        sizes = [each.detach().abs().max().double().cpu() for each in flatten(output).values() if each.numel()]
        found[name] = torch.stack([*sizes, found.get(name, torch.zeros((), dtype=torch.float64))]).max()
        return output

    return note


@contextmanager
def _watched(block: nn.Module, found: dict[str, torch.Tensor], index: int) -> Iterator[None]:
    """Keep what the block is given, as it was before the block ran, and what it returns."""
    given: list[list[torch.Tensor]] = []
    calls: list[None] = []

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given.append([each.detach().clone() for each in _tensors(args, kwargs) if each.is_floating_point()])

    def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        taken = given.pop()
        pairs = [
            (f"{given_at}-{returned_at}", returned, alike)
            for given_at, alike in enumerate(taken)
            for returned_at, returned in enumerate(flatten(output).values())
            if returned.is_floating_point() and alike.shape == returned.shape
        ]
        if pairs and len(calls) < _MOST_CALLS:
            for number, returned, alike in pairs:
                found[f"{index}.{len(calls)}.{number}.returned"] = returned.detach().clone()
                found[f"{index}.{len(calls)}.{number}.given"] = alike.to(returned.dtype)
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


def _tensors(*values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors among arguments and in their tuples, lists and dicts; not those that an object keeps."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, Mapping):
            yield from _tensors(*value.values())
        elif isinstance(value, tuple | list):
            yield from _tensors(*value)


def _zeros(output: Any) -> Any:
    return replaced(output, lambda path, tensor: torch.zeros_like(tensor))
