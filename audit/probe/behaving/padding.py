"""Runs a model on batches that differ where padding hides the content."""

from typing import Any

import torch
from torch import nn

from ..outputs import flatten
from ..parts import built, forward, inputs_of
from ..tensors import dump
from .batches import Inputs, batched, copied
from .following import shapes_told
from .lookups import Replacing
from .marking import TOKENS, Marking
from .misdeclared import Misdeclared
from .outputs_alike import moved_runs, run
from .rows_alone import check_outputs, hidden_of, marked_as_taken, shapes_alone


def padding(specs: str, name: str, seed: int, batch_size: int, paddings: list[dict[str, Any]]) -> dict[str, object]:
    """Run a batch with other content where padding hides it.

    Args:
        specs: the target's specs.
        name: of the model.
        seed: of weights and inputs.
        batch_size: samples.
        paddings: each names its `mask`, the `content` that it hides, the `axis` of positions in the content, and
            whether True `keeps` a position. What is called a mask `marks` padding as a `mask`, as `lengths` or as
            `tokens`, which are `pad_id` there: with these the rows that they look up in tables are hidden content too.
            Its `outputs`, where they are not None, have the axis of positions of outputs that have others than the
            content.

    Returns:
        For each padding by its number: `whole.<i>`, `other.<i>` (values of other positions in the place of what is
        hidden) and `larger.<i>` (a hundred times larger); `shown.<i>` is the output with the mask open and the content
        of `other.<i>`, `open.<i>` with the mask open and the content as it was. `mask.<i>` is the mask that was given,
        True where a position counts, and `axes.<i>` has the shapes of outputs that tell where their positions are.
        `rows.<i>`, where there are `outputs`, has the shapes of each row's, alone and without its padding.
        `lookups.<i>`: of tokens, how many tables they were looked up in, and `stays_zero.<i>` whether the rows of
        padding there are zero and kept so.
    """
    model = built(specs, name, seed).eval()
    reply: dict[str, object] = {}
    later: list[tuple[Inputs, Marking]] = []
    for index, each in enumerate(paddings):
        inputs, marking = _masked(specs, name, seed, batch_size, _together(paddings, each))
        kept = marking.kept
        opened = {**inputs, each["mask"]: marking.keeping(torch.ones_like(kept))}
        other, larger = dict(inputs), dict(inputs)
        generator = torch.Generator().manual_seed(seed)
        for content in each["content"]:
            tensor = inputs[content]
            if not isinstance(tensor, torch.Tensor):
                raise Misdeclared(f"{content!r} must be a tensor, not {type(tensor).__name__}")
            other[content] = _filled(tensor, kept, each["axis"], generator, factor=1)
            larger[content] = _filled(tensor, kept, each["axis"], generator, factor=100)
        shown = {**other, each["mask"]: opened[each["mask"]]}
        try:
            whole = flatten(forward(model, inputs))
        except IndexError as beyond:
            if marking.marks != TOKENS:
                raise
            raise Misdeclared(
                f"with 'pad_id', {each['pad_id']}, among the tokens forward raises IndexError: {beyond}; it must be a "
                "token that the model knows"
            ) from beyond
        check_outputs(whole, [each])
        reply[f"whole.{index}"] = dump(whole)
        # By another sign what is shown is surely other than what stands there: the same token may be drawn.
        for key, given, factor in (("other", other, 1), ("larger", larger, 100), ("shown", shown, -1)):
            reply[f"{key}.{index}"], lookups = _replaced(model, given, marking, each, factor=factor, seed=seed)
            if key == "other" and lookups is not None:
                reply |= {f"lookups.{index}": lookups.lookups, f"stays_zero.{index}": lookups.stays_zero}
        reply |= {f"open.{index}": run(model, opened)}
        reply[f"mask.{index}"] = dump({"mask": kept})
        later.append((inputs, marking))
    # After all that is compared, for the model may keep what it was asked last.
    for index, (each, (ran, marking)) in enumerate(zip(paddings, later, strict=True)):
        if each["outputs"]:
            where = batched(specs, name, seed, batch_size)
            hidden = hidden_of(ran, _together(paddings, each), where)
            reply[f"rows.{index}"] = shapes_alone(model, ran, where, marking, hidden)
        reply[f"axes.{index}"] = shapes_told(
            model,
            specs,
            name,
            seed,
            batch_size,
            inputs=ran,
            masked=[each["mask"], *each["content"]],
            axis=each["axis"],
            length=marking.kept.shape[1],
        )
    return reply


def moved_padding(
    specs: str, name: str, seed: int, batch_size: int, paddings: list[dict[str, Any]], index: int
) -> dict[str, object]:
    """Run the batch that `padding` runs as `whole.<index>`, with model and batch moved by one unit in the last place.

    Apart from `padding`, for most models give equal bits, which leave nothing to ask of rounding.

    Returns:
        `moved.<i>`: the outputs of each draw.
    """
    inputs, _ = _masked(specs, name, seed, batch_size, _together(paddings, paddings[index]))
    return moved_runs(built(specs, name, seed).eval(), inputs, seed)


def _together(paddings: list[dict[str, Any]], padding: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a padding, and behind it the others of the same mask, whose content is hidden with its own."""
    key = (padding["mask"], padding["keeps"])
    return [padding, *(each for each in paddings if each is not padding and (each["mask"], each["keeps"]) == key)]


def _masked(
    specs: str, name: str, seed: int, batch_size: int, together: list[dict[str, Any]]
) -> tuple[dict[str, Any], Marking]:
    """Return a batch in which something is hidden, and what marks it; `together` are all paddings of one mask."""
    padding = together[0]
    inputs: dict[str, Any] = copied(inputs_of(specs, name, seed, batch_size))
    marking = marked_as_taken(
        lambda: built(specs, name, seed).eval(),
        inputs,
        padding,
        where=lambda: batched(specs, name, seed, batch_size),
        together=together if padding["outputs"] else (),
    )
    inputs[padding["mask"]] = marking.keeping(marking.kept)
    return inputs, marking


def _replaced(
    model: nn.Module, inputs: Inputs, marking: Marking, padding: dict[str, Any], *, factor: int, seed: int
) -> tuple[bytes, Replacing | None]:
    """Return the outputs of a batch; where tokens mark padding, with other rows of tables than it looks up."""
    tokens = inputs[padding["mask"]]
    if marking.marks != TOKENS or not isinstance(tokens, torch.Tensor):
        return run(model, inputs), None
    generator = torch.Generator().manual_seed(seed)

    def others(rows: torch.Tensor) -> torch.Tensor:
        return _filled(rows, marking.kept, 1, generator, factor=factor)

    replacing = Replacing(tokens, marking.kept, padding["pad_id"], others)
    with replacing:
        return run(model, inputs), replacing


def _filled(
    content: torch.Tensor, kept: torch.Tensor, axis: int, generator: torch.Generator, *, factor: int
) -> torch.Tensor:
    """Return the content with that of kept positions, drawn at random, in the place of what is hidden."""
    positions = content.movedim(axis, 1)  # (B, L, ...)
    if positions.shape[:2] != kept.shape:
        raise Misdeclared(
            f"padding is marked at {tuple(kept.shape)} positions, (B, L), which are "
            f"{tuple(positions.shape[:2])} by the content"
        )
    pool = positions[kept]
    drawn = pool[torch.randint(len(pool), kept.shape, generator=generator)]
    drawn = drawn * factor if content.is_floating_point() else drawn
    wide = kept.view(*kept.shape, *[1] * (positions.dim() - 2))
    return torch.where(wide, positions, drawn).movedim(1, axis)
