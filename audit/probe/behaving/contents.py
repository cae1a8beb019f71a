"""Which classes of modules, and of torch's own attention, one forward of a model carries out."""

import torch

from ..parts import built, forward, identity, inputs_of


def contents(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Return the classes of the modules that run in one forward, each with those it is derived from, the nearest first.

    With what a result is bound to. `modules` has `[name of the module, [[home, qualname], ...]]`; `fused` counts the
    calls of torch's own attention.
    """
    model = built(specs, name, seed).eval()
    names = {id(module): key for key, module in model.named_modules()}
    ran: dict[str, list[list[str]]] = {}
    fused = [0]

    def note(module: torch.nn.Module, _: object) -> None:
        bases = [[base.__module__, base.__qualname__] for base in type(module).__mro__]
        ran[names.get(id(module), type(module).__qualname__)] = bases

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        with _Counting(fused):
            forward(model, inputs_of(specs, name, seed, batch_size))
    finally:
        handle.remove()
    modules = [[key, bases] for key, bases in sorted(ran.items())]
    return {**identity(model), "modules": modules, "fused": fused[0]}


class _Counting(torch.overrides.TorchFunctionMode):
    """Counts the calls of torch's own attention functions."""

    def __init__(self, count: list[int]) -> None:
        super().__init__()
        self._count = count

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func is torch.nn.functional.scaled_dot_product_attention:
            self._count[0] += 1
        return func(*args, **(kwargs or {}))
