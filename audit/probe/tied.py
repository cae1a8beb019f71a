"""Finds weights with several names, and whether they still are one after loading, copying and a step."""

import copy
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from .behaving.misdeclared import Misdeclared, nearest, quoted
from .parts import built, train_once
from .phases import phase
from .state import copy_by

# Bound before the target's code runs, like those in `tensors`.
_save = torch.save
_load = torch.load

_PICKLING = {"pickle": "pickle", "torch.save": "torch.save of the whole"}  # by the name of the way


def tied(specs: str, name: str, seed: int, batch_size: int, declared: list[list[str]]) -> dict[str, object]:
    """Find the weights that have several names, and whether they still are one after loading and copying.

    Args:
        specs: the target's specs.
        name: of the model.
        seed: of weights and inputs.
        batch_size: samples of the batch of a training step, which is taken where groups are declared.
        declared: groups of names of parameters and buffers that are to be one; with such, the ways of copying are
            tried that `model_copies` tries.

    Returns:
        `groups`: the names of each parameter that has several, and the declared groups that are none of these.
        `apart`: what was done to the model, and the groups that were not one tensor afterwards. `stored`: of those
        names that are in the saved state dict, which memory in the file each has, by number. `refused`: ways of
        copying that raised.

    Raises:
        Misdeclared: the model has no parameter and no buffer of a declared name.
    """
    model = built(specs, name, seed)
    held = _held(model)
    for key in (key for group in declared for key in group):
        if key not in held:
            raise Misdeclared(f"no parameter or buffer of the model is called {quoted(key)}{nearest(key, held)}")
    found = _found(model)
    groups = found + [sorted(group) for group in declared if not any(set(group) <= set(each) for each in found)]
    if not groups:
        return {"groups": []}
    apart: dict[str, object] = {"building": _apart(model, groups)}
    buffer = io.BytesIO()
    with phase("save"):
        _save(model.state_dict(), buffer)
    other = built(specs, name, seed + 1)
    with phase("load"):
        state = _load(io.BytesIO(buffer.getvalue()), weights_only=True)
        other.load_state_dict(state)
    apart["loading the state dict"] = _apart(other, groups)
    with phase("deepcopy"):
        copied = copy.deepcopy(model)
    apart["a deep copy"] = _apart(copied, groups)
    refused: list[object] = []
    if declared:
        for way, said in _PICKLING.items():
            try:
                apart[said] = _apart(copy_by(way, model), groups)
            except Exception:  # smoke.copies says what is wrong with it
                refused.append(said)
        if not any(apart.values()):  # what is known by then must not be lost to a step that cannot be taken
            with phase("to"):
                copied.to(torch.float64)
            # Buffers in one memory are two afterwards, which is torch's own doing.
            of_parameters = [group for group in groups if _are_parameters(held, group)]
            apart["moving to another dtype"] = _apart(copied, of_parameters)
            train_once(model, specs, name, seed, batch_size)
            apart["an optimizer step"] = _apart(model, groups)
    names = {key for group in groups for key in group}
    places = {key: value.untyped_storage().data_ptr() for key, value in state.items() if key in names}
    numbers = {place: number for number, place in enumerate(dict.fromkeys(places.values()))}
    stored = {key: numbers[place] for key, place in places.items()}
    return {"groups": groups, "apart": apart, "stored": stored, "refused": refused}


def _found(model: nn.Module) -> list[list[str]]:
    """Return the names of each parameter that has several."""
    names: dict[int, list[str]] = defaultdict(list)
    for key, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(key)
    return sorted(sorted(group) for group in names.values() if len(group) > 1)


def _held(model: nn.Module) -> dict[str, torch.Tensor]:
    buffers = dict(model.named_buffers(remove_duplicate=False))
    return {**dict(model.named_parameters(remove_duplicate=False)), **buffers}


def _apart(model: nn.Module, groups: Sequence[Sequence[str]]) -> list[object]:
    """Return the groups that are not one tensor: one parameter, or with a buffer among them one memory.

    Two parameters in one memory are two for an optimizer, which moves it twice, and apart in a deep copy.
    """
    held = _held(model)
    return [list(group) for group in groups if not _is_one([held.get(key) for key in group])]


def _is_one(tensors: Sequence[torch.Tensor | None]) -> bool:
    known = [each for each in tensors if each is not None]
    if len(known) < len(tensors):
        return False
    if all(isinstance(each, nn.Parameter) for each in known):
        return len({id(each) for each in known}) == 1
    return len({(_place(each), each.storage_offset(), each.shape, each.stride(), each.dtype) for each in known}) == 1


def _are_parameters(held: Mapping[str, torch.Tensor], names: Sequence[str]) -> bool:
    return all(isinstance(held[key], nn.Parameter) for key in names)


def _place(tensor: torch.Tensor) -> int:
    """Return where the memory of a tensor is; the number of the tensor where it has none."""
    return tensor.untyped_storage().data_ptr() or id(tensor)
