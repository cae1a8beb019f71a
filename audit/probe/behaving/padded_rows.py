"""Runs each padded row of a batch without its padding."""

from typing import Any

import torch

from ..parts import built, inputs_of
from ..tensors import dump
from .batches import batched, chosen, copied
from .following import shapes_told
from .marking import TOKENS, marked
from .misdeclared import Misdeclared
from .outputs_alike import moved_runs, run


def padded_rows(
    specs: str, name: str, seed: int, batch_size: int, padding: dict[str, Any], beside: list[dict[str, Any]]
) -> dict[str, object]:
    """Run a batch with its padding, and each row that has some alone and without it.

    Args:
        specs: the target's specs.
        name: of the model.
        seed: of weights and inputs.
        batch_size: samples.
        padding: names the `mask`, the `content` that it hides, the `axis` of positions in the content, and whether True
            `keeps` a position. What is called a mask `marks` padding as a `mask`, as `lengths`, or as `tokens` that
            are `pad_id` there.
        beside: others of the same mask, whose content goes with it: an adjacency has its nodes on two axes.

    Returns:
        `mask`: (B, L), True where a position counts; `whole` and `moved.<i>`: the outputs of the batch, as it is and
        moved by one unit in the last place; `alone.<i>`: those of row i cut to what counts, of each row with padding;
        `axes`: shapes of outputs that tell where their positions are.

    Raises:
        Misdeclared: mask or content have not one entry for each sample.
    """
    model = built(specs, name, seed).eval()
    where = batched(specs, name, seed, batch_size)
    inputs = copied(inputs_of(specs, name, seed, batch_size))
    hidden = [(content, each["axis"]) for each in (padding, *beside) for content in each["content"]]
    if padding["marks"] == TOKENS:
        hidden.append((padding["mask"], 1))
    for argument in (padding["mask"], *(content for content, _ in hidden)):
        if f"inputs.{argument}" not in where.axes:
            raise Misdeclared(f"{argument!r} must be a tensor with one entry for each sample")
    if where.axes[f"inputs.{padding['mask']}"] != 0:
        raise Misdeclared("the mask must be a tensor (B, L), and its samples are on another axis than the first")
    marking = marked(inputs, padding)
    kept = marking.kept
    inputs[padding["mask"]] = marking.keeping(kept)
    reply: dict[str, object] = {"mask": dump({"mask": kept}), "whole": run(model, inputs)}
    reply |= moved_runs(model, inputs, seed)
    for row in range(batch_size):
        counts = kept[row].nonzero()[:, 0]
        if 0 < len(counts) < kept.shape[1]:
            alone = chosen(inputs, where, [row])
            for content, axis in hidden:
                tensor = alone[content]
                assert isinstance(tensor, torch.Tensor)
                alone[content] = tensor.index_select(axis, counts)
            if padding["marks"] != TOKENS:  # which have been cut
                alone[padding["mask"]] = marking.keeping(kept[row : row + 1, counts])
            reply[f"alone.{row}"] = run(model, alone)
    reply["axes"] = shapes_told(
        model,
        specs,
        name,
        seed,
        batch_size,
        inputs=inputs,
        masked=[padding["mask"], *padding["content"]],
        axis=padding["axis"],
        length=kept.shape[1],
    )
    return reply
