"""Computes the loss of a batch, and of the same samples in another order."""

from collections.abc import Callable, Collection, Sequence

import torch

from .. import specs as specs_
from ..calling import called
from ..outputs import flatten, replaced
from ..parts import built, forward, inputs_of, loss_of
from ..phases import current, phase
from ..plain import said_by
from ..tensors import dump
from .batches import Batched, Inputs, batched, chosen, copied, forms_of_samples
from .moving import FLOAT32_EPS, moved

Axis = tuple[str, int]  # the path of an output, and one of its axes
_MOST_AXES = 16  # two losses are computed for each
# No sample keeps its place, and neither a shift nor a reversal looks the same afterwards.
ORDER = (3, 0, 6, 1, 7, 2, 4, 5)


def other_order(specs: str, name: str, seed: int) -> dict[str, object]:
    """Compute the loss of a batch as it is, in another order, and of its outputs with the targets in that order.

    Returns:
        `batched` and `joined`, see `Batched`, without which nothing else is there; each as `loss` of one
        element: `whole`, that of the batch in eval mode; `ordered`: that of the model on the batch in another order;
        `crossed`: that of its outputs on the batch with the inputs of other samples of the same form, or None, where
        `not_crossed` says why; `moved.<i>`: that of the batch with model and inputs moved by one unit in the last
        place. Where the loss is the same with the inputs of other samples, `between` is that of the outputs alone, with
        the axes of samples in that order: `all` of them, `one.<i>` of them and `others.<i>`, all but that one; it is
        None where there is one such axis or none.
    """
    batch_size = len(ORDER)
    where = batched(specs, name, seed, batch_size)
    if not where.is_separable:
        return where.described()
    inputs = inputs_of(specs, name, seed, batch_size)
    ordered = chosen(inputs, where, ORDER)
    model = built(specs, name, seed).eval()

    def loss_on(given: Inputs, targets: Inputs | None = None) -> dict[str, torch.Tensor]:
        specs_.seed_everything(seed)
        with torch.no_grad():
            with phase("forward"):
                output = called(model, copied(given))
            return {"loss": loss_of(specs, name, output, copied(given if targets is None else targets)).reshape(1)}

    run: Callable[[Inputs], dict[str, torch.Tensor]] = loss_on
    reply: dict[str, object] = {
        **where.described(),
        "whole": dump(loss_on(inputs)),
        "ordered": dump(loss_on(ordered)),
    }
    others = _of_other_samples(forms_of_samples(inputs, where, batch_size))
    crossed, reason = None, "they are all of different lengths"
    if others != list(range(batch_size)):
        with phase(current()):  # whose mark is put back behind an exception, which leaves its own
            try:
                crossed = dump(loss_on(inputs, chosen(inputs, where, others)))
            except Exception as raised:  # lengths may be in a mask, too; the loss has taken the batch's own outputs
                reason = f"with these the loss raised {said_by(raised)}"
    reply |= {"crossed": crossed, "not_crossed": reason}
    if crossed == reply["whole"]:
        with phase(current()):
            try:
                reply["between"] = _between(model, specs, name, seed, inputs, where)
            except Exception:  # seven samples may be too odd a number, and outputs in another order no outputs
                reply["between"] = None
    return reply | {
        f"moved.{index}": dump(each) for index, each in enumerate(moved(model, inputs, FLOAT32_EPS, seed, run))
    }


def _between(model: torch.nn.Module, specs: str, name: str, seed: int, inputs: Inputs, where: Batched) -> bytes | None:
    """Return the losses of outputs of which some axes of samples are in another order, see `other_order`."""
    fewer = range(len(ORDER) - 1)

    def output_of(given: Inputs) -> object:
        specs_.seed_everything(seed)
        return forward(model, copied(given))

    output = output_of(inputs)
    shapes = {path: tuple(tensor.shape) for path, tensor in flatten(output).items()}
    smaller = {path: tuple(tensor.shape) for path, tensor in flatten(output_of(chosen(inputs, where, fewer))).items()}
    axes = [
        (path, axis)
        for path, shape in shapes.items()
        if len(smaller.get(path, ())) == len(shape)
        for axis, length in enumerate(shape)
        if (length, smaller[path][axis]) == (len(ORDER), len(fewer))
    ]
    if not 2 <= len(axes) <= _MOST_AXES:
        return None

    def loss_with(reordered: Collection[Axis]) -> torch.Tensor:
        def reorder(path: str, tensor: torch.Tensor) -> torch.Tensor:
            for axis in (axis for at, axis in reordered if at == path):
                tensor = tensor.index_select(axis, torch.tensor(ORDER, device=tensor.device))
            return tensor

        with torch.no_grad():
            return loss_of(specs, name, replaced(output, reorder), copied(inputs)).reshape(1)

    losses = {"all": loss_with(axes)}
    for index, one in enumerate(axes):
        losses |= {
            f"one.{index}": loss_with([one]),
            f"others.{index}": loss_with([each for each in axes if each != one]),
        }
    return dump(losses)


def _of_other_samples(forms: Sequence[object]) -> list[int]:
    """Return a sample in the place of each: another one of the same form, or itself where it is the only one of it."""
    if all(form == forms[0] for form in forms):
        return list(ORDER)
    found = []
    for index, form in enumerate(forms):
        alike = [other for other, its in enumerate(forms) if its == form]
        found.append(alike[(alike.index(index) + 1) % len(alike)])
    return found
