"""Calls what a model offers beside its forward, and watches the forwards that run under it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .. import specs as specs_
from ..outputs import flatten
from ..parts import built, inputs_of
from ..phases import phase
from ..tensors import digest, dump
from .batches import copied


def infers(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Call each function of `inference` twice, with generators that are equal and global ones that are not.

    Returns:
        `calls`: for each by its name, in their order, `forwards`: how many modules ran; `graphs`: how many of these
        returned a tensor that keeps what led to it, for gradients; `training`: whether a module is in train mode
        afterwards; `moved`: whether a parameter or buffer is another; `first.<i>` and `second.<i>`: what was returned.
    """
    spec = specs_.entry(specs, "MODELS", name)
    functions = spec["inference"]
    assert isinstance(functions, dict)
    calls: dict[str, object] = {}
    reply: dict[str, object] = {"calls": calls}
    for index, (key, call) in enumerate(functions.items()):
        model = built(specs, name, seed).eval()
        before = _state(model)
        with _watched() as seen:
            for number, which in enumerate(("first", "second")):
                inputs = copied(inputs_of(specs, name, seed, batch_size))
                specs_.seed_everything(seed + 1 + number)
                with phase("inference"):
                    returned = call(model, inputs, torch.Generator().manual_seed(seed))
                reply[f"{which}.{index}"] = dump(flatten(returned))
        calls[key] = {
            "forwards": seen["forwards"],
            "graphs": seen["graphs"],
            "training": any(module.training for module in model.modules()),
            "moved": _state(model) != before,
        }
    return reply


def _state(model: nn.Module) -> list[str]:
    return [digest(tensor.detach()) for tensor in (*model.parameters(), *model.buffers())]


@contextmanager
def _watched() -> Iterator[dict[str, int]]:
    """Count the modules that run, and those of which a tensor comes that requires gradients."""
    seen = {"forwards": 0, "graphs": 0}

    def look(module: nn.Module, arguments: object, returned: object) -> None:
        seen["forwards"] += 1
        seen["graphs"] += any(tensor.requires_grad for tensor in flatten(returned).values())

    handle = torch.nn.modules.module.register_module_forward_hook(look)
    try:
        yield seen
    finally:
        handle.remove()
