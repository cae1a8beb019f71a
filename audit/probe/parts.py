"""The steps that procedures on a registered model are made of: building it, its batches, its forward and its loss."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from . import kept_batches
from . import specs as specs_
from .adam import Adam
from .calling import arguments_of, called, uncompiled
from .kept_batches import made
from .phases import phase

# Bound before the target's code runs, like those in `tensors`.
_isfinite = torch.isfinite
_amax = torch.amax
_abs = torch.abs
_count_nonzero = torch.count_nonzero
_item = torch.Tensor.item
_double = torch.Tensor.double
_numel = torch.Tensor.numel

_LEARNING_RATE = 1e-3


class SpecError(TypeError):
    """The spec returned something that is not what the procedure needs."""


def built(specs: str, name: str, seed: int) -> torch.nn.Module:
    """Build a model of the specs, under the seed."""
    spec = specs_.entry(specs, "MODELS", name)
    specs_.seed_everything(seed)
    with phase("build"):
        model = specs_.function(spec, "build")()
        if not isinstance(model, torch.nn.Module):
            raise SpecError(f"'build' returned {type(model).__name__}, not a torch.nn.Module")
    return model


def inputs_of(specs: str, name: str, seed: int, batch_size: int, *, anew: bool = False) -> Mapping[str, object]:
    """Return a batch that the specs make with the seed; `anew`, or a copy of the one that they made before."""
    make = specs_.function(specs_.entry(specs, "MODELS", name), "inputs")
    with phase("inputs"):
        return as_inputs(made(make, batch_size, seed) if anew else kept_batches.batch(make, batch_size, seed))


def as_inputs(inputs: object) -> Mapping[str, object]:
    """Return what 'inputs' of the specs returned, which is a dict of forward's arguments.

    Raises:
        SpecError: it is something else.
    """
    if not isinstance(inputs, Mapping):
        raise SpecError(f"'inputs' returned {type(inputs).__name__}, not a dict of forward's arguments")
    if unnamed := [key for key in inputs if not isinstance(key, str)]:
        found = f"the key {unnamed[0]!r}, of {type(unnamed[0]).__name__}"
        raise SpecError(f"'inputs' returned a dict with {found}: its keys are the names of forward's arguments")
    return inputs


def refuse_unknown(model: torch.nn.Module, inputs: Mapping[str, object]) -> None:
    """Say that forward does not take these arguments, which tells something about the specs and not about the model.

    Raises:
        SpecError: it does not.
    """
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return  # a forward that is not written in Python says nothing of its arguments
    ordered, named = arguments_of(model, inputs)
    try:
        signature.bind(*ordered, **named)
    except TypeError as refused:
        gives = f"gives {', '.join(inputs)} by name" if inputs else "gives no argument"
        with phase("inputs"):
            said = f"'inputs' {gives}, and forward{signature} takes no such call: {refused}"
            raise SpecError(said) from None


def forward(model: torch.nn.Module, inputs: Mapping[str, object]) -> object:
    """Run a model without gradients, with generators that draw the same in the next run."""
    # Global random state is not reset between runs: a model that draws random numbers in eval mode must show it.
    given = {key: undrawn(value) for key, value in inputs.items()}
    with phase("forward"), torch.no_grad():
        return called(model, given)


def undrawn(value: Any) -> Any:
    """Return a value with generators that draw what those in it would; the very same where it holds none."""
    if isinstance(value, torch.Generator):
        return torch.Generator(value.device).set_state(value.get_state())
    if type(value) is dict:
        items = {key: undrawn(item) for key, item in value.items()}
        return items if any(items[key] is not item for key, item in value.items()) else value
    if type(value) in (list, tuple):
        new = type(value)(undrawn(item) for item in value)
        return new if any(mine is not item for mine, item in zip(new, value, strict=True)) else value
    return value


def model_loss(model: torch.nn.Module, specs: str, name: str, seed: int, batch_size: int) -> torch.Tensor:
    """Return the loss of a model on a batch that the specs make."""
    inputs = inputs_of(specs, name, seed, batch_size)
    with phase("forward"):
        output = called(model, inputs)
    return loss_of(specs, name, output, inputs)


def loss_of(specs: str, name: str, output: object, inputs: Mapping[str, object]) -> torch.Tensor:
    """Return the loss that the specs say an output has."""
    return loss_by(specs_.entry(specs, "MODELS", name), output, inputs)


def loss_by(spec: Mapping[str, object], output: object, inputs: Mapping[str, object]) -> torch.Tensor:
    """Return the loss that an entry of the specs says an output has; nothing is looked up, for it may be timed."""
    with phase("loss"):
        loss = specs_.function(spec, "loss")(output, inputs)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise SpecError("'loss' must return a tensor with one element")
    return loss


def train_once(model: torch.nn.Module, specs: str, name: str, seed: int, batch_size: int) -> None:
    """Take one step; raises where a gradient is not finite, for such a step would leave nothing to compare."""
    model.train()
    loss = model_loss(model, specs, name, seed, batch_size)
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = {key: p for key, p in model.named_parameters() if p.requires_grad}
    if any(gradient_of(p)["nonfinite"] for p in parameters.values()):
        raise FloatingPointError("a gradient is not finite")
    optimizer_of(parameters).step()


def optimizer_of(parameters: Mapping[str, torch.nn.Parameter]) -> Adam:
    """Return Adam, whose first step has the size of the learning rate whatever the gradient's size."""
    return Adam(parameters.values(), _LEARNING_RATE)


def gradient_of(parameter: torch.nn.Parameter) -> dict[str, object]:
    """Return whether a gradient arrived at a parameter, and of what size."""
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


def class_of(model: torch.nn.Module) -> type:
    """Return the class of a model; of one that `torch.compile` wraps, that of what it wraps."""
    return type(uncompiled(model))


def identity(model: torch.nn.Module) -> dict[str, object]:
    """Return what a result is bound to: the `class` of a model, `module:qualname`, and its number of `parameters`.

    Those whose size is not known yet count for nothing.
    """
    made = class_of(model)
    sizes = (parameter.numel() for parameter in model.parameters() if not is_lazy(parameter))
    return {"class": f"{made.__module__}:{made.__qualname__}", "parameters": sum(sizes)}
