"""Moves every number that a model computes with by one unit in the last place, to see what rounding does to it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeGuard

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .batches import Inputs, changed

FLOAT32_EPS = float(torch.finfo(torch.float32).eps)
_NO_COARSER = (torch.float32, torch.float64)  # than where `_Coarsest` begins
DRAWS = 4  # signs are drawn anew each time; one draw can leave an output where it was


def moved(
    model: nn.Module, inputs: Inputs, eps: float, seed: int, run: Callable[[Inputs], dict[str, torch.Tensor]]
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield what `run` makes of the model and the inputs, `DRAWS` times, all moved by one part in 1/eps.

    Where `eps` is of float32 and an operation gives a coarser type, as under autocast within forward, all is moved by
    the unit of that: less would cross no step of it. The parameters and buffers of every layer are moved, so that what
    is yielded differs from the output by what rounding in every layer may do, and not only at the first one.
    """
    generator = torch.Generator().manual_seed(seed)

    def drawn(unit: float) -> dict[str, torch.Tensor]:
        with of_parameters(model, unit, generator):
            return run(changed(inputs, lambda path, tensor: moved_tensor(tensor, unit, generator)))

    left, unit = DRAWS, eps
    if eps == FLOAT32_EPS:
        with _Coarsest(eps) as seen:
            first = drawn(eps)
        unit = seen.eps
        if unit == eps:
            left -= 1
            yield first
    for _ in range(left):
        yield drawn(unit)


class _Coarsest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, `eps` is that of the coarsest type that an operation on such numbers has given."""

    supports_higher_order_operators = True

    def __init__(self, eps: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.eps = eps

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not to be wrapped so that compilation skips it: that imports the compiler, which takes about a second."""
        return False

    def __torch_dispatch__(
        self, func: object, types: object, args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        assert callable(func)
        given = dict(kwargs or {})
        result = func(*args, **given)
        if type(result) is torch.Tensor and result.dtype in _NO_COARSER:
            return result  # as nearly all of them, which need no walk through what was given
        if any(_is_float(leaf) for leaf in tree_leaves((args, given))):
            kept = [leaf.dtype for leaf in tree_leaves(result) if _is_float(leaf)]
            self.eps = max([self.eps, *(float(torch.finfo(dtype).eps) for dtype in kept)])
        return result


def _is_float(leaf: object) -> TypeGuard[torch.Tensor]:
    return isinstance(leaf, torch.Tensor) and leaf.is_floating_point()


def moved_tensor(tensor: torch.Tensor, eps: float, generator: torch.Generator) -> torch.Tensor:
    """Return a copy, of floating-point numbers with each element one unit in the last place up or down."""
    if not tensor.is_floating_point():
        return tensor.detach().clone()
    eps = max(eps, float(torch.finfo(tensor.dtype).eps))  # less would leave a coarser type as it is
    signs = torch.randint(0, 2, tensor.shape, generator=generator, dtype=torch.int8) * 2 - 1
    return tensor.detach() * (1 + eps * signs.to(tensor.device, tensor.dtype))


@contextmanager
def of_parameters(model: nn.Module, eps: float, generator: torch.Generator) -> Iterator[None]:
    """Move parameters and buffers, and put them back."""
    held = [tensor for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()]
    before = [tensor.detach().clone() for tensor in held]
    with torch.no_grad():
        for tensor in held:
            tensor.copy_(moved_tensor(tensor, eps, generator))
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(held, before, strict=True):
                tensor.copy_(value)
