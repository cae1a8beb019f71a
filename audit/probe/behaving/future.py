"""Runs a model on batches that differ behind a position alone."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from .. import specs as specs_
from ..outputs import flatten
from ..parts import built, forward, inputs_of
from ..phases import phase
from ..plain import said_by
from ..tensors import dump
from .batches import copied
from .misdeclared import Misdeclared, nearest, returned
from .modes import couples_samples
from .outputs_alike import run

_MOST_CUTS = 16


def future(specs: str, name: str, seed: int, batch_size: int, causal: Mapping[str, Any]) -> dict[str, object]:
    """Run a batch, and with other content from a position on.

    Args:
        specs: the target's specs.
        name: of the model.
        seed: of weights and inputs.
        batch_size: samples.
        causal: names the `content`, arguments of forward, and the `axis` of positions in it; `outputs`, where it is
            not None, has the axis of positions of each output that is to be judged, one for each position of the
            content or for each whole number of them.

    Returns:
        `length`, the number of positions; `whole`, the output; and for each position in `cuts` the output with values
        of other positions in the place of what stands there and behind it, as `later.<position>`. `trained` has such
        positions again: the same in train mode, under the same seed, as `trained.whole` and `trained.later.<position>`;
        where there are none `not_trained` says why.

    Raises:
        Misdeclared: the batch lacks the content, it is no tensor, or its tensors differ in their number of positions;
            the model does not return such an output.
    """
    model = built(specs, name, seed).eval()
    inputs = copied(inputs_of(specs, name, seed, batch_size))
    axis = int(causal["axis"])
    lengths = {_length(inputs, str(each), axis) for each in causal["content"]}
    if len(lengths) != 1:
        raise Misdeclared(
            f"the contents have {', '.join(map(str, sorted(lengths)))} positions, which should be the same"
        )
    (length,) = lengths
    cuts = _cuts(length)
    whole = flatten(forward(model, inputs))
    for output, of_positions in (causal["outputs"] or {}).items():
        _check_output(whole, output, of_positions, length)
    reply: dict[str, object] = {"length": length, "cuts": list[object](cuts), "whole": dump(whole)}

    def later(cut: int) -> dict[str, object]:
        generator = torch.Generator().manual_seed(seed)
        return inputs | {each: _changed_from(inputs[each], cut, axis, generator) for each in causal["content"]}

    for cut in cuts:
        reply[f"later.{cut}"] = run(model, later(cut))
    return reply | _in_training(model, inputs, later, cuts, seed)


def _in_training(
    model: nn.Module, inputs: dict[str, object], later: Callable[[int], dict[str, object]], cuts: list[int], seed: int
) -> dict[str, object]:
    """Do the same in train mode, at the first, a middle and the last position."""
    if coupled := couples_samples(model):
        return {"trained": [], "not_trained": f"{coupled[0]} mixes positions in train mode"}
    model.train()

    def trained(given: dict[str, object]) -> bytes:
        specs_.seed_everything(seed)
        return run(model, copied(given))

    chosen = sorted({cuts[0], cuts[len(cuts) // 2], cuts[-1]}) if cuts else []
    try:
        whole = trained(inputs)
        found = {f"trained.later.{cut}": trained(later(cut)) for cut in chosen}
        again = trained(inputs)
    except Exception as raised:  # what train mode needs beside, other checks ask for
        with phase("call"):
            return {"trained": [], "not_trained": f"forward raised {said_by(raised)} in train mode"}
    if whole != again:
        return {"trained": [], "not_trained": "train mode differs under the same seed"}
    return {"trained": list[object](chosen), "not_trained": "", "trained.whole": whole, **found}


def _check_output(whole: Mapping[str, torch.Tensor], name: str, axis: int, length: int) -> None:
    shape = tuple(returned(whole, name).shape)
    size = shape[axis] if axis < len(shape) else 0
    # A model that subsamples has one position for several of the content.
    if size != length and (size < 2 or length % size):
        raise Misdeclared(
            f"axis {axis} of {name!r} does not have the {length} positions of the content, nor one for each two or "
            f"more of them: its shape is {shape}"
        )


def _cuts(length: int) -> list[int]:
    """Return the positions from which content is changed: all of a short sequence, some of a longer one."""
    if length <= _MOST_CUTS:
        return list(range(1, length))
    between = {1 + (length - 2) * index // (_MOST_CUTS - 1) for index in range(_MOST_CUTS)}
    return sorted({1, length // 2, length - 1} | between)


def _length(inputs: Mapping[str, object], name: str, axis: int) -> int:
    if name not in inputs:
        raise Misdeclared(f"'inputs' gives no argument {name!r}{nearest(name, inputs)}")
    content = inputs[name]
    if not isinstance(content, torch.Tensor) or content.dim() <= axis:
        form = f"{content.dim()} axes" if isinstance(content, torch.Tensor) else type(content).__name__
        raise Misdeclared(f"{name!r} must be a tensor with positions on axis {axis}, not {form}")
    return content.shape[axis]


def _changed_from(content: Any, cut: int, axis: int, generator: torch.Generator) -> torch.Tensor:
    """Return the content with that of positions drawn at random from `cut` on."""
    positions: torch.Tensor = content.movedim(axis, 1)  # (B, L, ...)
    pool = positions.flatten(0, 1)
    drawn = pool[torch.randint(len(pool), positions.shape[:2], generator=generator)]
    return torch.cat((positions[:, :cut], drawn[:, cut:]), dim=1).movedim(1, axis)
