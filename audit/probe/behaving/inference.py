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
from .batches import Inputs, copied, tensors_of


def infers(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Call each function of `inference` twice in eval mode, with equal generators and other global ones.

    Returns:
        `calls`: for each by its name, in their order, `forwards`: how many modules ran; `graphs`: how many of these
        returned a tensor that keeps what led to it, for the gradients of parameters alone; whether the call left the
        `mode`, in eval and in train mode, numbers or their need of gradients (`moved`), or the switch of gradients
        (`disabled`) changed, and whether it `drew` from the global generator or `wrote` into its inputs. `first.<i>`
        and `second.<i>`: what was returned in eval mode.
    """
    spec = specs_.entry(specs, "MODELS", name)
    functions = spec["inference"]
    assert isinstance(functions, dict)
    calls: dict[str, object] = {}
    reply: dict[str, object] = {"calls": calls}
    for index, (key, call) in enumerate(functions.items()):
        model = built(specs, name, seed).eval()
        with _watched() as seen:
            for number, which in enumerate(("first", "second")):
                # What is made at the first call, as a table of positions is, may be kept; the second changes nothing.
                before = _state(model, buffers=number > 0)
                inputs = copied(inputs_of(specs, name, seed, batch_size))
                given = _digests(inputs)
                specs_.seed_everything(seed + 1 + number)
                drawn = torch.random.get_rng_state()
                with phase("inference"):
                    returned = call(model, inputs, torch.Generator().manual_seed(seed))
                tensors = flatten(returned)
                reply[f"{which}.{index}"] = dump(tensors)
                seen |= {
                    "graphs": seen["graphs"] + any(tensor.requires_grad for tensor in tensors.values()),
                    "moved": seen["moved"] or _state(model, buffers=number > 0) != before,
                    "mode": seen["mode"] or any(module.training for module in model.modules()),
                    "disabled": seen["disabled"] or not torch.is_grad_enabled(),
                    "drew": seen["drew"] or not torch.equal(torch.random.get_rng_state(), drawn),
                    "wrote": seen["wrote"] or given != _digests(inputs),
                }
                torch.set_grad_enabled(True)
        model.train()
        with phase("inference"):
            call(model, copied(inputs_of(specs, name, seed, batch_size)), torch.Generator().manual_seed(seed))
        torch.set_grad_enabled(True)
        calls[key] = seen | {"mode": seen["mode"] or not all(module.training for module in model.modules())}
    return reply


def _digests(inputs: Inputs) -> dict[str, str]:
    return {path: digest(tensor) for path, tensor in tensors_of(inputs).items()}


def _state(model: nn.Module, *, buffers: bool) -> list[tuple[str, bool]]:
    """Return the content of parameters, perhaps of buffers, and whether they want gradients."""
    held = [*model.parameters(), *(model.buffers() if buffers else ())]
    return [(digest(tensor.detach()), tensor.requires_grad) for tensor in held]


@contextmanager
def _watched() -> Iterator[dict[str, int]]:
    """Count the modules that run, and those of which a tensor comes that requires gradients.

    Not where gradients of what the model is given are asked for, as guidance does: then its input requires them.
    """
    seen = dict.fromkeys(("forwards", "graphs", "moved", "mode", "disabled", "drew", "wrote"), 0)
    asked = [False]

    def before(module: nn.Module, arguments: object) -> None:
        leaves = (each for each in flatten(arguments).values() if not isinstance(each, nn.Parameter))
        asked[0] = asked[0] or any(each.is_leaf and each.requires_grad for each in leaves)

    def look(module: nn.Module, arguments: object, returned: object) -> None:
        seen["forwards"] += 1
        seen["graphs"] += not asked[0] and any(tensor.requires_grad for tensor in flatten(returned).values())

    handles = [
        torch.nn.modules.module.register_module_forward_pre_hook(before),
        torch.nn.modules.module.register_module_forward_hook(look),
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
