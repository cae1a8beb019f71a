"""Cuts a row of a batch to the positions that count: what it is without its padding."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..outputs import flatten
from ..parts import forward
from ..phases import current, phase
from ..plain import said_by
from .batches import Batched, Inputs, chosen, copied
from .marking import TOKENS, Marking, check_arguments, marked, varies
from .misdeclared import Misdeclared, quoted, returned

Padding = Mapping[str, Any]
Hidden = Sequence[tuple[str, int]]


def hidden_of(inputs: Inputs, together: Sequence[Padding], where: Batched) -> Hidden:
    """Return the arguments that are cut with their axes of positions; `together` are all paddings of one mask.

    Raises:
        Misdeclared: the batch has no such argument; mask or content have not one entry for each sample.
    """
    for each in together:
        check_arguments(inputs, each)
    first = together[0]
    hidden = [(content, each["axis"]) for each in together for content in each["content"]]
    if first["marks"] == TOKENS:
        hidden.append((first["mask"], 1))
    for argument in (first["mask"], *(content for content, _ in hidden)):
        if f"inputs.{argument}" not in where.axes:
            raise Misdeclared(f"{argument!r} must be a tensor with one entry for each sample")
    if where.axes[f"inputs.{first['mask']}"] != 0:
        raise Misdeclared("the mask must be a tensor (B, L), and its samples are on another axis than the first")
    return hidden


def row_alone(inputs: Inputs, where: Batched, marking: Marking, hidden: Hidden, row: int) -> dict[str, object]:
    """Return the inputs of one row without its padding.

    Raises:
        Misdeclared: the content has other positions than are marked.
    """
    counts = marking.kept[row].nonzero()[:, 0]
    alone = chosen(inputs, where, [row])
    for content, axis in hidden:
        tensor = alone[content]
        assert isinstance(tensor, torch.Tensor)
        if not -tensor.dim() <= axis < tensor.dim() or tensor.shape[axis] != marking.kept.shape[1]:
            raise Misdeclared(
                f"padding is marked at {marking.kept.shape[1]} positions, and a row of {content!r} is "
                f"{tuple(tensor.shape)}, of which axis {axis} would have them"
            )
        alone[content] = tensor.index_select(axis, counts)
    if marking.marks != TOKENS:  # which have been cut
        alone[marking.argument] = marking.keeping(marking.kept[row : row + 1, counts])
    return alone


def outputs_alone(
    model: nn.Module, inputs: Inputs, where: Batched, marking: Marking, hidden: Hidden, row: int
) -> dict[str, torch.Tensor]:
    """Return the outputs of one row without its padding.

    Raises:
        Misdeclared: the model does not take it, and nobody has said that it does.
    """
    given = row_alone(inputs, where, marking, hidden, row)
    try:
        return flatten(forward(model, given))
    except Exception as error:
        count, length = int(marking.kept[row].sum()), marking.kept.shape[1]
        said = " ".join(said_by(error).split()).removesuffix(":")
        raise Misdeclared(
            f"row {row} alone, with {count} of {length} positions, is refused by forward, {said}; 'content' must "
            f"name all that has these positions, and 'inputs' hide by {quoted(marking.argument)} so many of them that "
            "the model takes what is left of each row"
        ) from error


def shapes_alone(
    model: nn.Module, inputs: Inputs, where: Batched, marking: Marking, hidden: Hidden
) -> list[dict[str, list[int]] | None]:
    """Return the shapes of the outputs of each row alone, by their names; None of one that is all padding.

    Raises:
        Misdeclared: the model does not take a row alone.
    """
    found: list[dict[str, list[int]] | None] = []
    for row in range(len(marking.kept)):
        shapes = None
        if bool(marking.kept[row].any()):
            outputs = outputs_alone(model, inputs, where, marking, hidden, row)
            shapes = {path: list(tensor.shape) for path, tensor in outputs.items()}
        found.append(shapes)
    return found


def marked_as_taken(
    build: Callable[[], nn.Module],
    inputs: Inputs,
    padding: Padding,
    *,
    where: Callable[[], Batched],
    together: Sequence[Padding] = (),
) -> Marking:
    """Return what marks padding in a batch: samples are as long as each other where the model refuses other lengths.

    A model may ask for lengths that are multiples of a number.

    Args:
        build: builds a model to try them with, of which nothing else is asked: it may keep what it was given.
        inputs: the batch.
        padding: names what marks padding, and the content.
        where: tells where the samples are in the inputs.
        together: all paddings of one mask, where rows are run alone too.

    Raises:
        Misdeclared: mask or content are not in the batch, or have not one entry for each sample.
    """
    marking = marked(inputs, padding)
    if not marking.is_chosen or not varies(padding):
        return marking
    model, batch = build(), {**copied(inputs), marking.argument: marking.keeping(marking.kept)}
    with phase(current()):  # whose mark is put back behind an exception, which leaves its own
        try:
            forward(model, batch)
            if together:
                samples = where()
                hidden = hidden_of(batch, together, samples)
                for row in range(len(marking.kept)):
                    forward(model, row_alone(batch, samples, marking, hidden, row))
        except Exception:  # whatever it raises says one thing: it takes no such lengths
            return marked(inputs, padding, alike=True)
    return marking


def check_outputs(whole: Mapping[str, torch.Tensor], together: Iterable[Padding]) -> None:
    """Look whether the outputs that are named are there.

    Raises:
        Misdeclared: the model does not return such an output.
    """
    for padding in together:
        for name, axis in (padding["outputs"] or {}).items():
            shape = tuple(returned(whole, name).shape)
            if axis >= len(shape):
                raise Misdeclared(f"{name!r} has no axis {axis}: its shape is {shape}")
