"""Trains a model on one batch, beside a twin that is given one sample in the place of every one of them."""

import math
import time

import torch
from torch import nn

from .. import specs as specs_
from ..parts import built, inputs_of, loss_of
from ..phases import phase
from .batches import Inputs, changed, copied, per_sample

_FEWEST_STEPS = 8  # before which no curve says anything
_MARGIN = 1e-6  # relative: the twins' losses must differ by more than float32 rounds


def overfit(
    specs: str,
    name: str,
    seed: int,
    batch_size: int,
    steps: int,
    budget_s: float,
    learning_rate: float,
    targets_differ: bool,
) -> dict[str, object]:
    """Take steps of Adam on one batch until the model has learned it, the steps are used up, or the time is.

    The twin has the same weights, and the same targets in its loss, and what it is given does not tell the samples
    apart: each is the first of the batch. So what it reaches is what a prediction can that does not look at its input.
    Randomness of train mode falls alike in every step and in both.

    Returns:
        `losses` and `norms` (of the whole gradient) at each step, `twin`: the twin's losses, or None where the loss
        does not look at the batch beside the output; `ended`: `learned`, `steps` or `time`.
    """
    begun = time.process_time()
    inputs = inputs_of(specs, name, seed, batch_size)
    batched = per_sample(specs, name, seed, batch_size)
    model = built(specs, name, seed).train()
    alike = changed(inputs, lambda path, tensor: tensor[:1].expand_as(tensor).clone() if path in batched else tensor)
    has_targets = targets_differ and bool(batched) and _looks_at_the_batch(model, specs, name, inputs, batched, seed)
    twin = built(specs, name, seed).train() if has_targets else None
    losses: list[float] = []
    norms: list[float] = []
    of_twin: list[float] = []
    walkers = [(model, inputs, losses, norms)]
    if twin is not None:
        walkers.append((twin, alike, of_twin, []))
    optimizers = [
        torch.optim.Adam([p for p in each.parameters() if p.requires_grad], lr=learning_rate) for each, *_ in walkers
    ]
    ended = "steps"
    for _ in range(steps):
        for (each, given, loss_curve, norm_curve), optimizer in zip(walkers, optimizers, strict=True):
            optimizer.zero_grad()
            specs_.seed_everything(seed)
            loss = _loss(each, specs, name, given, targets=inputs)
            with phase("backward"):
                loss.backward()  # type: ignore[no-untyped-call]
            loss_curve.append(float(loss.detach()))
            norm_curve.append(_norm(each))
            with phase("step"):
                optimizer.step()
        if has_learned(losses, norms, of_twin if twin is not None else None):
            ended = "learned"
            break
        if time.process_time() - begun > budget_s:
            ended = "time"
            break
    return {
        "losses": losses,
        "norms": norms,
        "twin": of_twin if twin is not None else None,
        "ended": ended,
    }


def has_learned(losses: list[float], norms: list[float], twin: list[float] | None) -> bool:
    """Whether nothing more need be done: the parent judges the same numbers again."""
    bound = min([losses[0], *(twin or [])])
    return losses[-1] < bound - _MARGIN * abs(bound) and norms[-1] < norms[0] and len(losses) >= _FEWEST_STEPS


def _looks_at_the_batch(
    model: nn.Module, specs: str, name: str, inputs: Inputs, batched: frozenset[str], seed: int
) -> bool:
    """Whether the loss of the same output is another one when the samples that it is given change places."""
    with torch.no_grad(), phase("forward"):
        specs_.seed_everything(seed)
        output = model(**copied(inputs))
    turned = changed(inputs, lambda path, tensor: tensor.roll(1, dims=0) if path in batched else tensor)
    with torch.no_grad():
        plain = float(loss_of(specs, name, output, copied(inputs)))
        other = float(loss_of(specs, name, output, turned))
    return not math.isclose(plain, other, rel_tol=_MARGIN)


def _loss(model: nn.Module, specs: str, name: str, inputs: Inputs, *, targets: Inputs | None = None) -> torch.Tensor:
    given = copied(inputs)
    with phase("forward"):
        output = model(**given)
    return loss_of(specs, name, output, given if targets is None else copied(targets))


def _norm(model: nn.Module) -> float:
    squares = [
        float(p.grad.detach().to_dense().double().square().sum()) for p in model.parameters() if p.grad is not None
    ]
    return math.sqrt(sum(squares))
