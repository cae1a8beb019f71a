"""A GPU that is not there: what torch and its tensors say of it, for branches whose guard asks.

Tensors stay where they are. Their `device` is then a text, `cpu`, which torch takes wherever it takes a device, with
the type `cuda`; a comparison with `torch.device("cuda")` stays false, for nothing that torch would then do with it
could be carried out. What asks for memory on the GPU by name raises as it does without one, and is not judged.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import torch

from .standins.installing import replaced

_CAPABILITY = (9, 0)  # Hopper's, which every library takes
_PROPERTIES = SimpleNamespace(
    name="a GPU that is not there", major=9, minor=0, total_memory=2**36, multi_processor_count=132
)


class _Device(str):
    """The device of a tensor on the CPU that says it were a GPU."""

    type = "cuda"
    index = 0  # type: ignore[assignment]


def _same(tensor: object, *args: object, **kwargs: object) -> object:
    return tensor


_ANSWERS: Mapping[str, Callable[..., object]] = {
    "is_available": lambda: True,
    "is_bf16_supported": lambda *args, **kwargs: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "get_device_capability": lambda device=None: _CAPABILITY,
    "get_device_name": lambda device=None: _PROPERTIES.name,
    "get_device_properties": lambda device=None: _PROPERTIES,
    "synchronize": lambda device=None: None,
}


@contextmanager
def pretended() -> Iterator[None]:
    """Have torch answer as if there were a GPU and tensors lay on it."""
    with ExitStack() as stack:
        for name, answer in _ANSWERS.items():
            stack.enter_context(replaced(torch.cuda, name, answer))
        stack.enter_context(replaced(torch.Tensor, "cuda", _same))
        stack.enter_context(replaced(torch.nn.Module, "cuda", _same))
        stack.enter_context(replaced(torch.Tensor, "is_cuda", property(lambda tensor: True)))
        stack.enter_context(replaced(torch.Tensor, "device", property(lambda tensor: _Device("cpu"))))
        yield
