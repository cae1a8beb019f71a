"""Finds the tensors in whatever a model takes or returns."""

import copy
import types
from collections.abc import Callable, Iterator, Mapping

import torch

# Objects that belong to the program and not to what a model returned: following them would leave the output.
OPAQUE = (
    type,
    torch.nn.Module,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.GeneratorType,
)


def flatten(output: object, prefix: str = "output") -> dict[str, torch.Tensor]:
    """Return every tensor in nested dicts, lists, tuples and attributes of objects, by its path.

    Raises:
        RecursionError: a container holds itself.
    """
    return {path: value for path, value in _walk(output, prefix, ()) if isinstance(value, torch.Tensor)}


def lengths(output: object, prefix: str = "output") -> dict[str, int]:
    """Return the number of items of every list and tuple in an output, by its path; `flatten` looks in the same places.

    Raises:
        RecursionError: a container holds itself.
    """
    return {path: len(value) for path, value in _walk(output, prefix, ()) if not isinstance(value, torch.Tensor)}


def _walk(
    value: object, path: str, above: tuple[int, ...]
) -> Iterator[tuple[str, torch.Tensor | list[object] | tuple[object, ...]]]:
    """Yield tensors, and lists and tuples before what is in them.

    `above` holds the identities of the objects on the way here, for children may know their parents.
    """
    if isinstance(value, torch.Tensor):
        yield path, value
        return
    if type(value) in (list, tuple):
        assert isinstance(value, list | tuple)
        yield path, value
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        items = [] if isinstance(value, OPAQUE) or id(value) in above else list(attributes(value))
        above = (*above, id(value))
    for key, item in items:
        yield from _walk(item, f"{path}.{key}", above)


def replaced(output: object, change: Callable[[str, torch.Tensor], object], prefix: str = "output") -> object:
    """Return a copy of an output with `change(path, tensor)` in place of every tensor that `flatten` finds in it.

    What holds no tensor is the object itself, and so is a container on its second turn within itself.
    """
    return _replaced(output, change, prefix, ())


def _replaced(
    value: object, change: Callable[[str, torch.Tensor], object], path: str, above: tuple[int, ...]
) -> object:
    if isinstance(value, torch.Tensor):
        return change(path, value)
    if isinstance(value, OPAQUE) or id(value) in above:
        return value
    above = (*above, id(value))
    if isinstance(value, Mapping):
        mapping = copy.copy(value)
        for key, item in value.items():
            mapping[key] = _replaced(item, change, f"{path}.{key}", above)  # type: ignore[index]
        return mapping
    if isinstance(value, list | tuple):
        items = [_replaced(item, change, f"{path}.{index}", above) for index, item in enumerate(value)]
        of_type: Callable[..., object] = type(value)
        return of_type(*items) if hasattr(value, "_fields") else of_type(items)
    pairs = [(key, item, _replaced(item, change, f"{path}.{key}", above)) for key, item in attributes(value)]
    changed = {key: new for key, item, new in pairs if new is not item}
    if not changed:
        return value
    holder = copy.copy(value)
    for key, item in changed.items():
        object.__setattr__(holder, key, item)
    return holder


def attributes(value: object) -> Iterator[tuple[str, object]]:
    """Yield what the object itself holds, in `__dict__` and in the slots of its classes; properties are not called."""
    yield from getattr(value, "__dict__", {}).items()
    for base in type(value).__mro__:
        for name, member in vars(base).items():
            if name != "__dict__" and isinstance(member, types.MemberDescriptorType) and hasattr(value, name):
                yield name, getattr(value, name)
