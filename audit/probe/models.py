"""Builds, runs, differentiates, steps and reloads the target's registered models.

Every procedure starts from a model built anew under the given seed, so that nothing carries over between checks.
"""

import io
import sys
from collections.abc import Mapping

import torch

from . import specs as specs_
from .outputs import flatten
from .phases import phase
from .tensors import digest, dump

# Bound before the target's code runs, like those in `tensors`.
_isfinite = torch.isfinite
_amax = torch.amax
_abs = torch.abs
_count_nonzero = torch.count_nonzero
_item = torch.Tensor.item
_double = torch.Tensor.double
_numel = torch.Tensor.numel
_save = torch.save
_load = torch.load

_LEARNING_RATE = 1e-3


class SpecError(TypeError):
    """The spec returned something that is not what the procedure needs."""


def build(specs: str, name: str, seed: int) -> dict[str, object]:
    """Build a model and tell what it is: class, number of parameters, and the classes of all its modules."""
    model = _built(specs, name, seed)
    return {
        "class_module": type(model).__module__,
        "class_qualname": type(model).__qualname__,
        "another_of_that_name": _is_another(type(model)),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def forward(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Run the model in eval mode on one batch; return its tensors."""
    model = _built(specs, name, seed).eval()
    output = _forward(model, _inputs(specs, name, seed, batch_size))
    return {"tensors": dump(flatten(output))}


def repeat(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Run the model twice on one batch and once on another, all in eval mode; return the tensors of the three runs.

    `overwritten` names the inputs that the first run changed; `same_inputs` tells whether the specs gave the second run
    the batch of the first.
    """
    model = _built(specs, name, seed).eval()
    inputs = _inputs(specs, name, seed, batch_size)
    before = {key: digest(tensor) for key, tensor in flatten(inputs, "inputs").items()}
    first = dump(flatten(_forward(model, inputs)))  # taken before the next run, which may write into the same memory
    overwritten = [key for key, tensor in flatten(inputs, "inputs").items() if before.get(key) != digest(tensor)]
    again = _inputs(specs, name, seed, batch_size)
    same = before == {key: digest(tensor) for key, tensor in flatten(again, "inputs").items()}
    second = dump(flatten(_forward(model, again)))
    other = dump(flatten(_forward(model, _inputs(specs, name, seed + 1, batch_size))))
    return {"first": first, "second": second, "other": other, "overwritten": overwritten, "same_inputs": same}


def backward(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Differentiate the loss in train mode; return it and what arrived at each parameter."""
    model = _built(specs, name, seed).train()
    loss = _loss(model, specs, name, seed, batch_size)
    with phase("backward"):
        loss.backward()  # type: ignore[no-untyped-call]
    return {
        "loss": float(loss.detach()),
        "gradients": {key: _gradient(p) for key, p in model.named_parameters() if p.requires_grad},
    }


def step(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Take one Adam step, run the model again, and return digests of every parameter before and after.

    A trainable parameter is looked at after the first forward and after the second: one that forward overwrites is the
    same there, whatever the step did to it. Adam because its first step has the size of the learning rate whatever the
    gradient's size, so that a small gradient still moves a float32 parameter.
    """
    model = _built(specs, name, seed).train()
    trainable = {key: p for key, p in model.named_parameters() if p.requires_grad}
    frozen = {key: p for key, p in model.named_parameters() if not p.requires_grad}
    before = {key: digest(p) for key, p in frozen.items()}
    loss = _loss(model, specs, name, seed, batch_size)
    before |= {key: digest(p) for key, p in trainable.items()}
    with phase("backward"):
        loss.backward()  # type: ignore[no-untyped-call]
    with phase("step"):
        torch.optim.Adam(trainable.values(), lr=_LEARNING_RATE).step()
    loss_after = _loss(model, specs, name, seed, batch_size)
    return {
        "loss_before": float(loss.detach()),
        "loss_after": float(loss_after.detach()),
        "trainable": {key: [before[key], digest(p)] for key, p in trainable.items()},
        "frozen": {key: [before[key], digest(p)] for key, p in frozen.items()},
    }


def save_load(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Save the state dict, load it into a model built under another seed, and return both models' outputs."""
    model = _built(specs, name, seed).eval()
    buffer = io.BytesIO()
    with phase("save"):
        _save(model.state_dict(), buffer)
    other = _built(specs, name, seed + 1).eval()
    with phase("load"):
        buffer.seek(0)
        other.load_state_dict(_load(buffer, weights_only=True))
    inputs = _inputs(specs, name, seed, batch_size)
    saved = dump(flatten(_forward(model, inputs)))
    loaded = dump(flatten(_forward(other, _inputs(specs, name, seed, batch_size))))
    return {"saved": saved, "loaded": loaded, "entries": len(model.state_dict())}


def reached(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Return the class of every module whose forward ran in one forward pass of the model."""
    model = _built(specs, name, seed).eval()
    classes: set[tuple[str, str]] = set()

    def note(module: torch.nn.Module, _: object) -> None:
        classes.update((base.__module__, base.__qualname__) for base in type(module).__mro__)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        _forward(model, _inputs(specs, name, seed, batch_size))
    finally:
        handle.remove()
    return {"classes": [list(pair) for pair in sorted(classes)]}


def _built(specs: str, name: str, seed: int) -> torch.nn.Module:
    spec = specs_.entry(specs, "MODELS", name)
    specs_.seed_everything(seed)
    with phase("build"):
        model = specs_.function(spec, "build")()
        if not isinstance(model, torch.nn.Module):
            raise SpecError(f"'build' returned {type(model).__name__}, not a torch.nn.Module")
    return model


def _inputs(specs: str, name: str, seed: int, batch_size: int) -> Mapping[str, object]:
    spec = specs_.entry(specs, "MODELS", name)
    with phase("inputs"):
        inputs = specs_.function(spec, "inputs")(batch_size, torch.Generator().manual_seed(seed))
        if not isinstance(inputs, Mapping):
            raise SpecError(f"'inputs' returned {type(inputs).__name__}, not a dict of forward's arguments")
    return inputs


def _forward(model: torch.nn.Module, inputs: Mapping[str, object]) -> object:
    # Global random state is not reset between runs: a model that draws random numbers in eval mode must show it.
    with phase("forward"), torch.no_grad():
        return model(**inputs)


def _loss(model: torch.nn.Module, specs: str, name: str, seed: int, batch_size: int) -> torch.Tensor:
    spec = specs_.entry(specs, "MODELS", name)
    inputs = _inputs(specs, name, seed, batch_size)
    with phase("forward"):
        output = model(**inputs)
    with phase("loss"):
        loss = specs_.function(spec, "loss")(output, inputs)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise SpecError("'loss' must return a tensor with one element")
    return loss


def _gradient(parameter: torch.nn.Parameter) -> dict[str, object]:
    gradient = parameter.grad
    if gradient is None:
        return {"present": False, "nonfinite": 0, "max_abs": 0.0, "elements": parameter.numel()}
    dense = gradient.detach().to_dense() if gradient.is_sparse else gradient.detach()
    return {
        "present": True,
        "nonfinite": _numel(dense) - int(_item(_count_nonzero(_isfinite(dense)))),
        "max_abs": float(_item(_amax(_double(_abs(dense))))) if _numel(dense) else 0.0,
        "elements": parameter.numel(),
    }


def _is_another(built: type[torch.nn.Module]) -> bool:
    """Whether the module that the class names as its home holds another class under that name."""
    found: object = sys.modules.get(built.__module__)
    for part in built.__qualname__.split("."):
        found = getattr(found, part, None)
    return isinstance(found, type) and found is not built
