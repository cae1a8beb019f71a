"""Runs each padded row of a batch without its padding."""

from typing import Any

from ..outputs import flatten
from ..parts import built, forward, inputs_of
from ..tensors import dump
from .batches import batched, copied
from .following import shapes_told
from .outputs_alike import moved_runs, run
from .rows_alone import check_outputs, hidden_of, marked_as_taken, outputs_alone, row_alone, shapes_alone


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
            are `pad_id` there. Its `outputs`, where they are not None, have the axis of positions of outputs that have
            others than the content.
        beside: others of the same mask, whose content goes with it: an adjacency has its nodes on two axes.

    Returns:
        `mask`: (B, L), True where a position counts; `whole` and `moved.<i>`: the outputs of the batch, as it is and
        moved by one unit in the last place; `alone.<i>`: those of row i cut to what counts, of each row with padding;
        `axes`: shapes of outputs that tell where their positions are; `rows`, where there are `outputs`: the shapes of
        each row's alone.

    Raises:
        Misdeclared: mask or content have not one entry for each sample; the model returns no such output.
    """
    model = built(specs, name, seed).eval()
    where = batched(specs, name, seed, batch_size)
    inputs = copied(inputs_of(specs, name, seed, batch_size))
    together = (padding, *beside)
    hidden = hidden_of(inputs, together, where)
    marking = marked_as_taken(
        lambda: built(specs, name, seed).eval(), inputs, padding, where=lambda: where, together=together
    )
    kept = marking.kept
    inputs[padding["mask"]] = marking.keeping(kept)
    whole = flatten(forward(model, inputs))
    check_outputs(whole, together)
    reply: dict[str, object] = {"mask": dump({"mask": kept}), "whole": dump(whole)}
    reply |= moved_runs(model, inputs, seed)
    for row in range(batch_size):
        if 0 < int(kept[row].sum()) < kept.shape[1]:
            if marking.is_chosen:  # the specs have not said that it takes a row as long as this
                reply[f"alone.{row}"] = dump(outputs_alone(model, inputs, where, marking, hidden, row))
            else:
                reply[f"alone.{row}"] = run(model, row_alone(inputs, where, marking, hidden, row))
    if any(each["outputs"] for each in together):
        reply["rows"] = shapes_alone(model, inputs, where, marking, hidden)
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
