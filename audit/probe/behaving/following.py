"""Asks a model which axes of its outputs follow the number of samples, and which that of positions."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from ..outputs import flatten
from ..parts import forward, inputs_of
from ..phases import current, phase
from .batches import Inputs, batched, changed, copied


def shapes_told(
    model: nn.Module,
    specs: str,
    name: str,
    seed: int,
    batch_size: int,
    *,
    inputs: Inputs,
    masked: Sequence[str],
    axis: int,
    length: int,
) -> dict[str, object]:
    """Return the shapes of the outputs of a batch with a sample more, and of one with a position less.

    Args:
        model: in eval mode, of which nothing else is asked afterwards.
        specs: the target's specs.
        name: of the model.
        seed: of weights and inputs.
        batch_size: samples.
        inputs: the batch.
        masked: the mask, on whose axis 1 the positions are, or lengths; and then the contents, where they are on
            `axis`.
        axis: that of positions in the contents.
        length: the number of positions.

    Returns:
        `more_samples` and `fewer_positions`: the shapes by the names of outputs, or None where the model does not run
        on such a batch, as one whose number of positions is fixed.
    """

    where = batched(specs, name, seed, batch_size)

    def shapes(make: Callable[[], Inputs]) -> dict[str, object] | None:
        with phase(current()):  # whose mark is put back behind an exception, which leaves its own
            try:
                return {path: list(tensor.shape) for path, tensor in flatten(forward(model, make())).items()}
            except Exception:  # whatever it raises says one thing: it takes no such batch, and does not tell
                return None

    def cut(path: str, tensor: torch.Tensor) -> torch.Tensor:
        argument = path.removeprefix("inputs.")
        if argument not in masked:
            return tensor
        if is_lengths(path, tensor):
            return tensor.clamp(max=length - 1)
        return tensor.narrow(1 if argument == masked[0] else axis, 0, length - 1).clone()

    def is_lengths(path: str, tensor: torch.Tensor) -> bool:
        return path == f"inputs.{masked[0]}" and tensor.dim() == 1

    def cut_all(path: str, tensor: torch.Tensor) -> torch.Tensor:
        if is_lengths(path, tensor):
            return tensor.clamp(max=length - 1)
        for each in range(tensor.dim()):
            if tensor.shape[each] == length and where.axes.get(path) != each:
                tensor = tensor.narrow(each, 0, length - 1)
        return tensor.clone()

    fewer = None
    if length > 1:
        # What is not masked may be as long all the same, as the edges of a graph are.
        fewer = shapes(lambda: changed(inputs, cut)) or shapes(lambda: changed(inputs, cut_all))
    return {
        "more_samples": shapes(lambda: copied(inputs_of(specs, name, seed, batch_size + 1))),
        "fewer_positions": fewer,
    }
