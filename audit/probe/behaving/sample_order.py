"""Computes the loss of a batch, and of the same samples in reverse."""

from collections.abc import Callable

import torch

from .. import specs as specs_
from ..parts import built, inputs_of, loss_of
from ..phases import phase
from ..tensors import dump
from .batches import Inputs, changed, copied, per_sample
from .moving import moved


def reversed_samples(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Compute the loss of a batch as it is, of its samples in reverse, and of its outputs with reversed targets.

    Returns:
        `batched`: inputs that follow the batch size, without which nothing else is there; each as `loss` of one
        element: `whole`, that of the batch in eval mode; `reversed`: that of the model on the reversed batch;
        `crossed`: that of its outputs on the batch with the inputs of the reversed one; `moved.<i>`: that of the batch
        with model and inputs moved by one unit in the last place.
    """
    batched = per_sample(specs, name, seed, batch_size)
    if not batched:
        return {"batched": []}
    inputs = inputs_of(specs, name, seed, batch_size)
    backwards = changed(inputs, lambda path, tensor: tensor.flip(0) if path in batched else tensor)
    model = built(specs, name, seed).eval()

    def loss_on(given: Inputs, targets: Inputs | None = None) -> dict[str, torch.Tensor]:
        specs_.seed_everything(seed)
        with torch.no_grad():
            with phase("forward"):
                output = model(**copied(given))
            return {"loss": loss_of(specs, name, output, copied(given if targets is None else targets)).reshape(1)}

    run: Callable[[Inputs], dict[str, torch.Tensor]] = loss_on
    eps = float(torch.finfo(torch.float32).eps)
    reply: dict[str, object] = {
        "batched": sorted(batched),
        "whole": dump(loss_on(inputs)),
        "reversed": dump(loss_on(backwards)),
        "crossed": dump(loss_on(inputs, backwards)),
    }
    return reply | {f"moved.{index}": dump(each) for index, each in enumerate(moved(model, inputs, eps, seed, run))}
