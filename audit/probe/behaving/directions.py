"""Compares the derivatives that backward gives with differences of the loss, in float64."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import nn

from .. import specs as specs_
from ..parts import SpecError, built, inputs_of
from ..phases import phase
from .batches import Inputs, changed, copied, in_dtype
from .cuts import Cuts
from .gradients import loss_on
from .moving import moved
from .stopped import Stopped

_DRAWS = 2
_LONGEST = 1e-4  # of a step, relative to the numbers that it moves
_CHANGE = 1e-5  # of the loss, relative: far above its rounding, and small enough for a straight line
_AWAY = 1e-2  # of the numbers that are moved off a kink: far more than a step, so that none leads back to it


def along_directions(
    specs: str, name: str, seed: int, batch_size: int, holds_stopped: bool, away: str
) -> dict[str, object]:
    """Compare derivatives of the loss along random directions with its central differences, in float64 and eval mode.

    A direction moves all parameters, or all floating-point inputs, each by as much as its numbers are large. A step is
    as long as backward says that it takes to change the loss by a hundred-thousandth. Where `holds_stopped`, what the
    loss detaches or computes without gradients is what it was before the step. All numbers may be moved `away` from
    where they are: `scaled`, each by a hundredth of its own size, which leaves what is zero, or `shifted`, by one of
    the size of its tensor.

    Returns:
        `directions`: of each, what it is `of`, its `slope` by backward, its `steps`, each half the one before, and over
        them the `differences`, and the `bends`, by how much the slope ahead is more than the one behind; `moved`: how
        far the loss is from itself with every number moved by one unit in the last place; `loss`; `inner`: the coarsest
        dtype on the way to it from what has a gradient, of parameters alone where labels are cut from the inputs, which
        are not moved then; `unmoved`: the dtype to which these are cut, or None; `tiny`: whether the specs' smallest
        model was built.
    """
    model, is_tiny = _smallest(specs, name, seed)
    model.double().eval()
    inputs = in_dtype(inputs_of(specs, name, seed, batch_size), torch.float64)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if away:
        inputs = _moved_away(inputs, parameters, _without_gradient(model, parameters), away, seed)
    leaves: list[torch.Tensor] = []

    def leaf(path: str, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point():
            leaves.append(tensor.detach().clone().requires_grad_())
            return leaves[-1]
        return tensor

    given = changed(inputs, leaf)
    stopped = Stopped()
    # What the target writes into must not reach the differences below.
    with Cuts() as cuts, stopped.noted() if holds_stopped else nullcontext():
        loss = loss_on(model, specs, name, changed(given, lambda path, t: t if t.requires_grad else t.clone()))
    with phase("backward"):
        found = torch.autograd.grad(loss, [*parameters, *leaves], allow_unused=True)
    of_parameters = cuts
    if cuts.dtype is not None:
        with Cuts() as of_parameters:
            loss_on(model, specs, name, copied(given))

    def losses(given: Inputs) -> dict[str, torch.Tensor]:
        anew = copied(given)
        with torch.no_grad(), stopped.held() if holds_stopped else nullcontext():
            loss = loss_on(model, specs, name, anew)
        return {"loss": loss.detach()}

    value, here = float(loss.detach()), float(losses(given)["loss"])
    eps = float(torch.finfo(torch.float64).eps)
    rounded = [abs(float(each["loss"]) - value) for each in moved(model, inputs, eps, seed, losses)]
    generator = torch.Generator().manual_seed(seed)
    still = _without_gradient(model, parameters)
    directions: list[dict[str, object]] = []
    parts: list[tuple[str, Sequence[torch.Tensor], Sequence[torch.Tensor | None]]] = [
        ("parameters", parameters, found[: len(parameters)]),
    ]
    if (
        len(parameters) == len(list(model.parameters())) and cuts.dtype is None
    ):  # what is frozen may keep gradients from the inputs on purpose
        parts.append(("inputs", leaves, found[len(parameters) :]))
    for of, held, gradients in parts:
        for _ in range(_DRAWS) if held else ():
            ways = [_way(tensor, generator) for tensor in held]
            for index, row in still.items() if of == "parameters" else ():
                ways[index][row] = 0.0
            slope = sum(float((way * g).sum()) for way, g in zip(ways, gradients, strict=True) if g is not None)
            step = min(_LONGEST, _CHANGE * abs(value) / abs(slope)) if slope else _LONGEST
            steps = [step, step / 2]
            found_over = [_differences(lambda: losses(given)["loss"], here, held, ways, each) for each in steps]
            directions.append(
                {
                    "of": of,
                    "slope": float(slope),
                    "steps": steps,
                    "differences": [difference for difference, _ in found_over],
                    "bends": [bend for _, bend in found_over],
                }
            )
    return {
        "directions": directions,
        "moved": max(rounded),
        "loss": value,
        "inner": str(of_parameters.dtype or loss.dtype).removeprefix("torch."),
        "unmoved": str(cuts.dtype).removeprefix("torch.") if cuts.dtype is not None else None,
        "tiny": is_tiny,
    }


def _smallest(specs: str, name: str, seed: int) -> tuple[nn.Module, bool]:
    """Return the model that the specs' `tiny` builds, else the model itself, and whether it is the former."""
    spec = specs_.entry(specs, "MODELS", name)
    if "tiny" not in spec:
        return built(specs, name, seed), False
    specs_.seed_everything(seed)
    with phase("build"):
        model = specs_.function(spec, "tiny")()
        if not isinstance(model, nn.Module):
            raise SpecError(f"'tiny' returned {type(model).__name__}, not a torch.nn.Module")
    return model, True


def _without_gradient(model: nn.Module, parameters: Sequence[nn.Parameter]) -> dict[int, int]:
    """Return the row of each table, by its number among the parameters, that gets no gradient by torch's contract."""
    numbers = {id(parameter): index for index, parameter in enumerate(parameters)}
    return {
        numbers[id(module.weight)]: module.padding_idx
        for module in model.modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.padding_idx is not None
        if id(module.weight) in numbers
    }


def _moved_away(
    inputs: Inputs, parameters: Sequence[nn.Parameter], still: Mapping[int, int], away: str, seed: int
) -> dict[str, object]:
    """Move the parameters in place, but for rows that are `still`, and return the inputs with real numbers moved."""
    generator = torch.Generator().manual_seed(seed)

    def by(tensor: torch.Tensor) -> torch.Tensor:
        if away == "scaled":
            return tensor.detach() * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        return _way(tensor, generator)

    with torch.no_grad():
        for index, parameter in enumerate(parameters):
            way = by(parameter)
            if index in still:
                way[still[index]] = 0.0
            parameter.add_(way, alpha=_AWAY)
    return changed(inputs, lambda path, t: t + _AWAY * by(t) if t.is_floating_point() else t)


def _way(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    size = tensor.detach().square().mean().sqrt() if tensor.numel() else tensor.new_zeros(())
    size = torch.where(size > 0, size, torch.ones_like(size))
    return torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) * size


def _differences(
    loss: Callable[[], torch.Tensor],
    here: float,
    held: Sequence[torch.Tensor],
    ways: list[torch.Tensor],
    step: float,
) -> tuple[float, float]:
    """Return the central difference over a step, and how much more the difference ahead is than the one behind.

    `here` is the loss where nothing is moved.
    """
    before = [tensor.detach().clone() for tensor in held]
    found = []
    with torch.no_grad():
        for sign in (1, -1):
            for tensor, value, way in zip(held, before, ways, strict=True):
                tensor.copy_(value + sign * step * way)
            found.append(float(loss()))
        for tensor, value in zip(held, before, strict=True):
            tensor.copy_(value)
    ahead, behind = found
    return (ahead - behind) / (2 * step), ((ahead - here) - (here - behind)) / step
