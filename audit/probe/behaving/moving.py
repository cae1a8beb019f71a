"""Moves every number that a model computes with by one unit in the last place, to see what rounding does to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .batches import Inputs, changed

DRAWS = 4  # signs are drawn anew each time; one draw can leave an output where it was


def moved(
    model: nn.Module, inputs: Inputs, eps: float, seed: int, run: Callable[[Inputs], dict[str, torch.Tensor]]
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield what `run` makes of the model and the inputs, `DRAWS` times, all moved by one part in 1/eps.

    The parameters and buffers of every layer are moved, so that what is yielded differs from the output by what
    rounding in every layer may do, and not only at the first one.
    """
    generator = torch.Generator().manual_seed(seed)
    for _ in range(DRAWS):
        with of_parameters(model, eps, generator):
            yield run(changed(inputs, lambda path, tensor: moved_tensor(tensor, eps, generator)))


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
