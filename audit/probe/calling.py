"""Calls a model with a batch of the specs: by name, or in order where a parameter of its forward takes no name."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch

_POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
_VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL
_COMPILED = "torch._dynamo.eval_frame.OptimizedModule"
Arguments = tuple[tuple[object, ...], dict[str, object]]  # in order, and by name


class StandIn(torch.nn.Module):
    """Stands for a model, to whose forward it hands on whatever it is given."""

    def __init__(self, model: torch.nn.Module) -> None:
        """Keep the model, without registering it: its weights are none of the stand-in's."""
        super().__init__()
        self.__dict__["stands_for"] = model


def _inner(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model whose forward says what a call takes; what spreads it over processes takes anything."""
    if isinstance(model, StandIn):
        return _inner(model.__dict__["stands_for"])
    if isinstance(model, torch.nn.parallel.DistributedDataParallel):
        return _inner(model.module)
    return uncompiled(model)


def uncompiled(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model that `torch.compile` wraps; the model itself where it does not.

    By the wrapper's class, which is not imported for it: a model may have any attribute, or answer to every name.
    """
    wraps = any(f"{base.__module__}.{base.__qualname__}" == _COMPILED for base in type(model).__mro__)
    inner = model._modules["_orig_mod"] if wraps else None
    return model if inner is None else inner


def called(model: torch.nn.Module, inputs: Mapping[str, object]) -> Any:
    """Return what a model makes of a batch, whose keys are the names of its forward's arguments."""
    ordered, named = arguments_of(model, inputs)
    return model(*ordered, **named)


def arguments_of(model: torch.nn.Module, inputs: Mapping[str, object]) -> Arguments:
    """Return a batch as the arguments of a call, those in order and those by name.

    All go by name, but where forward has a parameter that takes none: `x` of `forward(self, x, /)`, and `features` of
    `forward(self, *features)`, whose value is a list or tuple of the arguments that it collects.
    """
    try:
        parameters = [*inspect.signature(_inner(model).forward).parameters.values()]
    except (TypeError, ValueError):
        return (), dict(inputs)  # a forward that is not written in Python says nothing of its arguments
    nameless = [each for each in parameters if each.kind in (_POSITIONAL_ONLY, _VAR_POSITIONAL) and each.name in inputs]
    if not nameless:
        return (), dict(inputs)
    named, ordered = dict(inputs), list[object]()
    last = parameters.index(nameless[-1])
    for parameter in parameters[: last + 1]:
        if parameter.kind is _VAR_POSITIONAL:
            collected = named[parameter.name]
            if not isinstance(collected, list | tuple):
                break  # a call by this name is refused, with what forward takes
            del named[parameter.name]
            ordered.extend(collected)
        elif parameter.name in named:
            ordered.append(named.pop(parameter.name))
        elif parameter.default is not parameter.empty:
            ordered.append(parameter.default)
        else:
            break  # so is one without an argument that has to be given
    return tuple(ordered), named
