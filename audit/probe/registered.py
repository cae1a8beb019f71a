"""Finds the tensors of a model that are neither parameters nor buffers, and what its forward does with them.

A model on another device has its parameters and buffers there and nothing else. So a tensor that stays where it was
made, and is joined with one that came with the model or its input, works on the device of its making alone. Which
tensors stay is followed through the operations of one forward pass: what `to` and its like return has moved, and what
is computed of tensors that stay stays as well.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType, GeneratorType, MethodType, ModuleType

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .calling import called
from .outputs import attributes
from .parts import built, inputs_of
from .phases import phase

_Tensor = torch.Tensor
_MOVES = frozenset(
    {_Tensor.to, _Tensor.cuda, _Tensor.type_as, _Tensor.new_tensor, _Tensor.copy_, torch.tensor, torch.as_tensor}
)
_SHAPE_ALONE = frozenset({_Tensor.expand_as, _Tensor.view_as, _Tensor.reshape_as})
_INDEXING = frozenset({_Tensor.__getitem__, _Tensor.__setitem__})
_OPAQUE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, GeneratorType)
_OWN_OF_MODULE = frozenset(vars(nn.Module()))
_MOST_VISITED = 100_000
_NOT_THE_TARGETS = ("torch", "builtins", "__main__")


def unregistered(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Find the tensors that a model holds and has not registered, and follow them through a forward pass.

    Returns:
        `found`: where they are held; `learnable`: those that want a gradient and that the forward pass uses; `unmoved`:
        those that it joins with tensors of the model or its input, without bringing them to the same device.
    """
    model = built(specs, name, seed).eval()
    inputs = inputs_of(specs, name, seed, batch_size)
    held = dict(_held(model))
    following = _Following({id(tensor): frozenset({path}) for path, tensor in held.items()})
    with phase("forward"), torch.no_grad(), following:
        called(model, inputs)
    wanted = {path for path, tensor in held.items() if tensor.requires_grad}
    return {
        "found": sorted(held),
        "learnable": sorted(wanted & following.used),
        "unmoved": sorted(following.joined - {""}),
    }


class _Following(TorchFunctionMode):
    """Notes which tensors that stay where they are made are used, and which are joined with others.

    `stays` has the paths by the identity of each such tensor; what a call makes without naming a device stays too, and
    has no path.
    """

    def __init__(self, stays: dict[int, frozenset[str]]) -> None:
        super().__init__()
        self._stays = stays
        self._kept: list[torch.Tensor] = []  # an identity is used again once its tensor is gone
        self.used: set[str] = set()
        self.joined: set[str] = set()

    def __torch_function__(
        self, func: object, types: object, args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)  # type: ignore[operator]
        made = list(_tensors_in(result))
        if not made:
            return result
        given = [*_tensors_in(args), *_tensors_in(tuple(kwargs.values()))]
        staying = [tensor for tensor in given if id(tensor) in self._stays]
        paths = frozenset[str]().union(*(self._stays[id(tensor)] for tensor in staying))
        self.used |= paths
        if (func in _MOVES and not _changes_type_alone(func, args, kwargs)) or kwargs.get("device") is not None:
            # What is on the right device already is returned as it is, and must not be taken for one that stays.
            return result.view_as(result) if isinstance(result, torch.Tensor) and id(result) in self._stays else result
        others = [tensor for tensor in given if id(tensor) not in self._stays and tensor.dim()]
        if staying and others and func not in _SHAPE_ALONE:
            # A tensor on a GPU may be indexed by one on the CPU, and joined with a single number there.
            if not (func in _INDEXING and args[0] is others[0]):
                self.joined.update(*(self._stays[id(tensor)] for tensor in staying if tensor.dim()))
        elif staying or not given:
            for tensor in made:
                self._stays[id(tensor)] = paths
                self._kept.append(tensor)
        return result


def _changes_type_alone(func: object, args: tuple[object, ...], kwargs: Mapping[str, object]) -> bool:
    """Whether this is `to` without a device, or a tensor whose device it takes."""
    wheres = (*args[1:], kwargs.get("other"))
    is_moved = any(isinstance(each, torch.device | str | _Tensor) or type(each) is int for each in wheres)
    return func is _Tensor.to and not is_moved


def _tensors_in(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_in(item)


def _held(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors that modules hold beside parameters and buffers, and those of the files of their classes."""
    modules = dict(model.named_modules())
    registered = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
    memory = {_memory(tensor) for tensor in (*model.parameters(), *model.buffers())} - {0}
    seen = {id(module) for module in modules.values()}
    waiting: list[tuple[str, object]] = []
    for name, module in modules.items():
        waiting += [(f"{name}.{key}" if name else key, value) for key, value in _own(module)]
    for home in sorted({type(module).__module__ for module in modules.values()}):
        file = sys.modules.get(home)
        if file is not None and home.partition(".")[0] not in _NOT_THE_TARGETS:
            waiting += [(f"{home}:{key}", each) for key, each in vars(file).items() if isinstance(each, torch.Tensor)]
    while waiting and len(seen) < _MOST_VISITED:
        path, value = waiting.pop()
        if id(value) in seen or isinstance(value, _OPAQUE):
            continue
        if isinstance(value, torch.Tensor):
            if id(value) not in registered and _memory(value) not in memory:
                seen.add(id(value))
                yield path, value
            continue
        inside = list(_inside(value))
        if inside:
            seen.add(id(value))
        waiting += [(f"{path}.{key}", item) for key, item in inside]


def _own(module: nn.Module) -> Iterator[tuple[str, object]]:
    for key, value in vars(module).items():
        if key not in _OWN_OF_MODULE:
            yield key, value


def _inside(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, nn.Module):  # one that is not registered: all that it holds
        return [*value._parameters.items(), *value._buffers.items(), *value._modules.items(), *_own(value)]
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return list(enumerate(value))
    if isinstance(value, partial):
        return [*enumerate(value.args), *value.keywords.items()]
    return list(attributes(value)) if not isinstance(value, str | bytes | int | float) else []


def _memory(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse tensors and those whose size is not known yet have none
        return 0
