"""Calls libraries that stand-ins stand for, on the target's device, and returns what they answer."""

import torch

from . import devices
from .standins.agreeing import SETS, Inputs, called
from .standins.installing import NAMES
from .standins.real import library, of_library
from .tensors import dump, load

_MOST_TOLD = 300  # characters of what a call raised


def versions() -> dict[str, object]:
    """Return the versions of the libraries with a stand-in that can be called themselves."""
    found = [library(name) for name in NAMES]
    return {each.name: each.version for each in found if each.version is not None}


def answers(name: str, tensors: bytes) -> dict[str, object]:
    """Make the calls of `SETS` that are of one library.

    Args:
        name: of the library.
        tensors: in the safetensors format, `<i>.q`, `<i>.k` and `<i>.v` of the call with this number in `SETS`.

    Returns:
        `version` of the library, None where it cannot be used, and `why` then; `tensors`: what the calls answered, by
        their numbers; `refused`: what the others raised.
    """
    found = library(name)
    answered: dict[str, torch.Tensor] = {}
    refused: dict[str, str] = {}
    if found.version is not None:
        inputs = {key: devices.placed(tensor) for key, tensor in load(tensors).items()}
        modules = of_library(name)
        for index, each in enumerate(SETS):
            if each.library != name:
                continue
            try:
                answered[str(index)] = called(modules, each, Inputs(*(inputs[f"{index}.{key}"] for key in "qkv")))
            except Exception as error:  # what it does not take is an answer as well
                refused[str(index)] = f"{type(error).__name__}: {' '.join(str(error).split())[:_MOST_TOLD]}"
    return {"version": found.version, "why": found.why, "tensors": dump(answered), "refused": dict(refused)}
