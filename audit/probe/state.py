"""Saves, loads and copies models in every form that there is, in the process that built them."""

import copy
import io
import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn.utils import parametrize

from .outputs import flatten
from .parts import built, forward, inputs_of, train_once
from .phases import phase
from .tensors import dump

# Bound before the target's code runs, like those in `tensors`.
_save = torch.save
_load = torch.load

_UNEXPECTED = "astrobio_audit_unexpected"
_MOST_KEYS = 16  # of which each costs a load; they are spread over the state dict
_HEADER_BYTES = 8


def strict_loading(specs: str, name: str, seed: int) -> dict[str, object]:
    """Load state dicts from which a key was taken, to which one was added, and with a tensor of another shape.

    Returns:
        Of each altered state dict whether loading it raised, or returned the key among those that it misses or does
        not expect: `{"without weight": True, ...}`.
    """
    first, model = built(specs, name, seed), built(specs, name, seed + 1)
    with phase("save"):
        state = first.state_dict()
    with phase("load"):
        model.load_state_dict(copy.copy(state))
    altered: dict[str, tuple[str, Mapping[str, object]]] = {}
    keys = list(state)
    for key in keys[:: -(-len(keys) // _MOST_KEYS) or 1]:
        altered[f"without {key}"] = key, _changed(state, lambda each, key=key: each.pop(key))  # type: ignore[misc]
    added = torch.zeros(1)
    altered["with another key"] = _UNEXPECTED, _changed(state, lambda each: each.update({_UNEXPECTED: added}))
    shaped = next((key for key, value in state.items() if isinstance(value, torch.Tensor) and value.dim()), None)
    if shaped is not None:
        larger = state[shaped].new_zeros([size + 1 for size in state[shaped].shape])
        altered[f"with {shaped} of another shape"] = shaped, _changed(state, lambda each: each.update({shaped: larger}))
    return {"told": {what: _is_told(model, key, changed) for what, (key, changed) in altered.items()}}


def copies(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Copy a model after a training step in three ways, and return the outputs of all.

    Returns:
        `original`, and of each way its outputs or what it `raised`. `parametrized`: whether a weight is computed by
        `torch.nn.utils.parametrize`, which refuses to be pickled.
    """
    model = _trained(specs, name, seed, batch_size)
    inputs = inputs_of(specs, name, seed, batch_size)
    reply: dict[str, object] = {
        "original": dump(flatten(forward(model, inputs))),
        "parametrized": any(parametrize.is_parametrized(module) for module in model.modules()),
    }
    raised: dict[str, str] = {}
    for way in WAYS_OF_COPYING:
        try:
            copied = copy_by(way, model)
            given = inputs_of(specs, name, seed, batch_size)
            reply[way] = dump(flatten(forward(copied.eval(), given)))
        except Exception as error:  # what cannot be copied in one way may be in another
            raised[way] = f"{type(error).__name__}: {error}"
    return {**reply, "raised": raised}


def safetensors(specs: str, name: str, seed: int, batch_size: int, folder: str) -> dict[str, object]:
    """Save a model with the library safetensors in a folder, and load the file into one of another seed.

    Returns:
        `why` it cannot be done, where the library is not there, or `untensored`: what the state dict holds beside
        tensors. Else `saved`, `before` and `loaded`, outputs as in `model_load`, and `keys`, the names in the file.
    """
    try:
        from safetensors.torch import load_model, save_model
    except ImportError as error:
        return {"why": str(error)}
    model = _trained(specs, name, seed, batch_size)
    with phase("save"):
        untensored = [key for key, value in model.state_dict().items() if not isinstance(value, torch.Tensor)]
    if untensored:
        return {"untensored": untensored}
    other = built(specs, name, seed + 1).eval()
    before = dump(flatten(forward(other, inputs_of(specs, name, seed, batch_size))))
    path = os.path.join(folder, "model.safetensors")
    with phase("save"):
        save_model(model, path)
    with phase("load"):
        load_model(other, path)
    with open(path, "rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(_HEADER_BYTES), "little")))
    return {
        "saved": dump(flatten(forward(model, inputs_of(specs, name, seed, batch_size)))),
        "before": before,
        "loaded": dump(flatten(forward(other, inputs_of(specs, name, seed, batch_size)))),
        "keys": sorted(key for key in head if key != "__metadata__"),
    }


def _trained(specs: str, name: str, seed: int, batch_size: int) -> nn.Module:
    """Return the model after a training step, where that works, in eval mode."""
    model = built(specs, name, seed)
    try:
        train_once(model, specs, name, seed, batch_size)
    except Exception:  # smoke.backward and smoke.optimizer_step say what is wrong with it
        model = built(specs, name, seed)
    return model.eval()


def _whole(model: nn.Module) -> object:
    buffer = io.BytesIO()
    _save(model, buffer)
    return _load(io.BytesIO(buffer.getvalue()), weights_only=False)


WAYS_OF_COPYING: Mapping[str, Callable[[nn.Module], object]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda each: pickle.loads(pickle.dumps(each)),
    "torch.save": _whole,
}


def copy_by(way: str, model: nn.Module) -> nn.Module:
    """Copy a model in one of the ways; raises whatever the way does, and where the copy is no model."""
    copied = WAYS_OF_COPYING[way](model)
    if not isinstance(copied, nn.Module):
        raise TypeError(f"the copy is a {type(copied).__name__}")
    return copied


def _changed(
    state: Mapping[str, object], change: Callable[["OrderedDict[str, object]"], object]
) -> Mapping[str, object]:
    """Return an altered copy; it keeps the versions of the modules that torch attaches, or old rules would apply."""
    changed = copy.copy(state)
    change(changed)  # type: ignore[arg-type]
    return changed


def _is_told(model: nn.Module, key: str, state: Mapping[str, object]) -> bool:
    try:
        answer = model.load_state_dict(state)
    except Exception:  # which is how strict loading tells it
        return True
    told = [*getattr(answer, "missing_keys", ()), *getattr(answer, "unexpected_keys", ())]
    return key in told
