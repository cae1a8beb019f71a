"""Runs a model on batches that differ where its masks hide the content."""

from typing import Any

import torch

from ..parts import built, inputs_of
from ..tensors import dump
from .batches import copied
from .following import shapes_told
from .misdeclared import Misdeclared, nearest
from .outputs_alike import moved_runs, run


def padding(specs: str, name: str, seed: int, batch_size: int, paddings: list[dict[str, Any]]) -> dict[str, object]:
    """Run a batch with other content where its masks hide it.

    Args:
        specs: the target's specs.
        name: of the model.
        seed: of weights and inputs.
        batch_size: samples.
        paddings: each names its `mask`, the `content` that it hides, the `axis` of positions in the content, and
            whether True `keeps` a position.

    Returns:
        For each padding by its number: `whole.<i>`, `other.<i>` (values of other positions in the place of what is
        hidden) and `larger.<i>` (a hundred times larger); `shown.<i>` is the output with the mask open and the content
        of `other.<i>`, `open.<i>` with the mask open and the content as it was. `mask.<i>` is the mask that was given,
        True where a position counts, and `axes.<i>` has the shapes of outputs that tell where their positions are.
    """
    model = built(specs, name, seed).eval()
    reply: dict[str, object] = {}
    later: list[tuple[int, dict[str, Any]]] = []
    for index, each in enumerate(paddings):
        inputs, mask, kept = _masked(specs, name, seed, batch_size, each)
        opened = {**inputs, each["mask"]: masking(torch.ones_like(kept), mask, keeps=each["keeps"])}
        other, larger = dict(inputs), dict(inputs)
        generator = torch.Generator().manual_seed(seed)
        for content in each["content"]:
            tensor = inputs[content]
            if not isinstance(tensor, torch.Tensor):
                raise Misdeclared(f"{content!r} must be a tensor, not {type(tensor).__name__}")
            other[content] = _filled(tensor, kept, each["axis"], generator, factor=1)
            larger[content] = _filled(tensor, kept, each["axis"], generator, factor=100)
        shown = {**other, each["mask"]: opened[each["mask"]]}
        runs = {"whole": inputs, "other": other, "larger": larger, "shown": shown, "open": opened}
        reply |= {f"{key}.{index}": run(model, given) for key, given in runs.items()}
        reply[f"mask.{index}"] = dump({"mask": kept})
        asked = [each["mask"], *each["content"]]
        later.append((index, {"inputs": inputs, "masked": asked, "axis": each["axis"], "length": kept.shape[1]}))
    for index, given in later:  # after all that is compared, for the model may keep what it was asked last
        reply[f"axes.{index}"] = shapes_told(model, specs, name, seed, batch_size, **given)
    return reply


def moved_padding(specs: str, name: str, seed: int, batch_size: int, padding: dict[str, Any]) -> dict[str, object]:
    """Run the batch that `padding` runs as `whole.<i>`, with model and batch moved by one unit in the last place.

    Apart from `padding`, for most models give equal bits, which leave nothing to ask of rounding.

    Returns:
        `moved.<i>`: the outputs of each draw.
    """
    inputs, _, _ = _masked(specs, name, seed, batch_size, padding)
    return moved_runs(built(specs, name, seed).eval(), inputs, seed)


def _masked(
    specs: str, name: str, seed: int, batch_size: int, padding: dict[str, Any]
) -> tuple[dict[str, Any], object, torch.Tensor]:
    """Return a batch in which the mask hides something, the mask as the specs give it, and what counts, (B, L)."""
    inputs: dict[str, Any] = copied(inputs_of(specs, name, seed, batch_size))
    for argument in (padding["mask"], *padding["content"]):
        if argument not in inputs:
            raise Misdeclared(f"'inputs' gives no argument {argument!r}{nearest(argument, inputs)}")
    mask = inputs[padding["mask"]]
    kept = kept_of(mask, keeps=padding["keeps"])
    inputs[padding["mask"]] = masking(kept, mask, keeps=padding["keeps"])
    return inputs, mask, kept


def kept_of(mask: object, *, keeps: bool) -> torch.Tensor:
    """Return which positions count, (B, L) bool; where a mask hides none, the last quarter of each sample is hidden."""
    if not isinstance(mask, torch.Tensor) or mask.dim() != 2:
        shape = f"{mask.dim()} axes" if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise Misdeclared(f"the mask must be a tensor (B, L), not {shape}")
    kept = mask != 0 if keeps else mask == 0
    if bool(kept.all()):
        hidden = max(1, kept.shape[1] // 4)
        kept = kept.clone()
        kept[:, kept.shape[1] - hidden :] = False
    return kept


def masking(kept: torch.Tensor, like: object, *, keeps: bool) -> torch.Tensor:
    """Return the mask, (B, L), that keeps these positions, in the dtype of the one that the specs give."""
    assert isinstance(like, torch.Tensor)
    return (kept if keeps else ~kept).to(like.dtype)


def _filled(
    content: torch.Tensor, kept: torch.Tensor, axis: int, generator: torch.Generator, *, factor: int
) -> torch.Tensor:
    """Return the content with that of kept positions, drawn at random, in the place of what is hidden."""
    positions = content.movedim(axis, 1)  # (B, L, ...)
    if positions.shape[:2] != kept.shape:
        raise Misdeclared(
            f"the mask must be a tensor (B, L), which is {tuple(positions.shape[:2])} by its content, not "
            f"{tuple(kept.shape)}"
        )
    pool = positions[kept]
    drawn = pool[torch.randint(len(pool), kept.shape, generator=generator)]
    drawn = drawn * factor if content.is_floating_point() else drawn
    wide = kept.view(*kept.shape, *[1] * (positions.dim() - 2))
    return torch.where(wide, positions, drawn).movedim(1, axis)
