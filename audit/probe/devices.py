"""The device on which the target runs: chosen once, when the process starts.

The target is built as it would be without a GPU and moved afterwards, as its users do; a tensor that does not move with
it then shows. What the probe itself makes beside its inputs lies on the device by `own`, which never reaches into the
target's code.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch

CPU = "cpu"
_Module = TypeVar("_Module", bound=torch.nn.Module)
_current: list[str] = [CPU]


def enter(name: str) -> None:
    """Have the target run on `cpu`, `cuda` or `cuda:N` from now on.

    Products stay as exact as their dtype, which bounds are derived for: TensorFloat-32, torch's default in convolutions
    on a GPU, rounds float32 to 10 bits. A target that asks for it afterwards gets it, and is judged with it.
    """
    _current[0] = name
    if on_gpu():
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def current() -> str:
    """Return the name of the device."""
    return _current[0]


def on_gpu() -> bool:
    """Whether the target runs on a GPU."""
    return _current[0] != CPU


def kind() -> str:
    """Return the kind of the device, as `torch.autocast` takes it."""
    return _current[0].partition(":")[0]


def placed(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor on the device; on a CPU it is the same one."""
    return tensor.to(_current[0]) if on_gpu() else tensor


def placed_module(module: _Module) -> _Module:
    """Move a module to the device; classes may have a `to` of their own that returns nothing."""
    if on_gpu():
        module.to(_current[0])
    return module


def placed_in(value: Any) -> Any:
    """Return a value with every tensor in its dicts, lists and tuples on the device."""
    if isinstance(value, torch.Tensor):
        return placed(value)
    if not on_gpu():
        return value
    if isinstance(value, Mapping):
        return {key: placed_in(item) for key, item in value.items()}
    return type(value)(placed_in(item) for item in value) if type(value) in (list, tuple) else value


def own() -> AbstractContextManager[object]:
    """Have tensors that the probe makes without naming a device lie on the one of the target."""
    return torch.device(_current[0]) if on_gpu() else nullcontext()


def of_target() -> AbstractContextManager[object]:
    """Within `own`, have the target's code make its tensors where it would without the probe."""
    return torch.device(CPU) if on_gpu() else nullcontext()
