"""Trains a model on one batch, beside a twin that is given one sample in the place of every one of them."""

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from .. import specs as specs_
from ..adam import Adam
from ..calling import called
from ..outputs import replaced
from ..parts import built, inputs_of, loss_of
from ..phases import current, phase
from .batches import Batched, Inputs, batched, chosen, copied, forms_of_samples

_FEWEST_STEPS = 8  # before which no curve says anything
_MARGIN = 1e-6  # relative: the twins' losses must differ by more than float32 rounds
_NOISE = 0.01  # small beside a probability, and large beside what float32 rounds
_MANY = 64  # samples, among which there are some of another target where a small batch has one target only
_DRAWS = 16  # of steps by chance: the best of so many is below what is learned by chance once in 17 times


def overfit(
    specs: str,
    name: str,
    seed: int,
    batch_size: int,
    steps: int,
    most_steps: int,
    budget_s: float,
    learning_rate: float,
    targets_differ: bool,
) -> dict[str, object]:
    """Take steps of Adam on one batch until the model has learned it, the steps are used up, or the time is.

    Where the loss has fallen by then, `most_steps` are taken: a twin that began lower may be below it still, and a
    gradient that begins small, as behind a layer that begins as zero, grows before it falls.

    Where the targets of the batch do not tell its samples apart, for all of a small one may be of one class, others are
    taken from a larger one. The twin has the same weights, and the same targets in its loss, and what it is given does
    not tell the samples apart: each is the first of the batch. So what it reaches is what a prediction can that does
    not look at its input. Randomness of train mode falls alike in every step and in both.

    Where no batch has such targets, no prediction needs its input, and a twin would say nothing; where samples are of
    different lengths, one does not fit the targets of another, and there is no twin. There the model is compared with
    itself after steps by chance: each number as far from where it began, up or down as drawn.

    Returns:
        `losses` and `norms` (of the whole gradient) at each step, `twin`: the twin's losses, or None where the loss
        does not look at the batch beside the output; there `chance` holds the losses after steps by chance; `ended`:
        `learned`, `steps` or `time`.
    """
    begun = time.process_time()
    where = batched(specs, name, seed, batch_size)
    model = built(specs, name, seed).train()
    inputs, has_targets = inputs_of(specs, name, seed, batch_size), False
    is_asked = targets_differ and where.is_separable
    is_ragged = is_asked and not _fits_in_every_place(model, specs, name, inputs, where, seed, batch_size)
    for tried in _batches(model, specs, name, inputs, where, seed, batch_size) if is_asked and not is_ragged else ():
        if _looks_at_the_batch(model, specs, name, tried, where, seed, batch_size):
            inputs, has_targets = tried, True
            break
    model = built(specs, name, seed).train()  # what it was asked for may have left traces
    alike = chosen(inputs, where, [0] * batch_size) if has_targets else inputs
    twin = built(specs, name, seed).train() if has_targets else None
    start = None if has_targets else [p.detach().clone() for p in _trainable(model)]
    chance: list[float] = []
    compared = 0  # steps before the last comparison with chance, which costs many forwards
    losses: list[float] = []
    norms: list[float] = []
    of_twin: list[float] = []
    walkers = [(model, inputs, losses, norms)]
    if twin is not None:
        walkers.append((twin, alike, of_twin, []))
    optimizers = [Adam(_trainable(each), learning_rate) for each, *_ in walkers]
    ended = "steps"
    for step in range(most_steps):
        for (each, given, loss_curve, norm_curve), optimizer in zip(walkers, optimizers, strict=True):
            optimizer.zero_grad()
            specs_.seed_everything(seed)
            loss = _loss(each, specs, name, given, targets=inputs)
            with phase("backward"):
                loss.backward()  # type: ignore[no-untyped-call]
            loss_curve.append(float(loss.detach()))
            norm_curve.append(_norm(each))
            is_due = step + 1 in (steps, most_steps) or (step + 1 >= compared + _FEWEST_STEPS and _falls(losses, norms))
            if start is not None and is_due:
                chance, compared = _by_chance(model, start, specs, name, inputs, seed), step + 1
            with phase("step"):
                optimizer.step()
        others = of_twin if twin is not None else chance
        if has_learned(losses, norms, others):
            ended = "learned"
            break
        if step + 1 >= steps and losses[-1] >= losses[0]:
            break
        if time.process_time() - begun > budget_s:
            ended = "time"
            break
    return {
        "losses": losses,
        "norms": norms,
        "twin": of_twin if twin is not None else None,
        "is_ragged": is_ragged,
        "chance": chance,
        "ended": ended,
    }


def has_learned(losses: list[float], norms: list[float], others: list[float]) -> bool:
    """Whether nothing more need be done: the parent judges the same numbers again. `others` are to be beaten."""
    bound = min([losses[0], *others])
    is_known = bool(others) and len(losses) >= _FEWEST_STEPS
    return is_known and losses[-1] < bound - _MARGIN * abs(bound) and _falls(losses, norms)


def _falls(losses: list[float], norms: list[float]) -> bool:
    return losses[-1] < losses[0] and norms[-1] < norms[0]


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def _by_chance(
    model: nn.Module, start: list[torch.Tensor], specs: str, name: str, inputs: Inputs, seed: int
) -> list[float]:
    """Return the losses where each number went as far as the model's from its start, in a direction drawn by chance."""
    held = _trainable(model)
    now = [p.detach().clone() for p in held]
    generator = torch.Generator().manual_seed(seed)
    found = []
    with torch.no_grad():
        for _ in range(_DRAWS):
            for p, first, last in zip(held, start, now, strict=True):
                signs = torch.randint(0, 2, p.shape, generator=generator, dtype=torch.int8) * 2 - 1
                p.copy_(first + (last - first) * signs.to(p.device, p.dtype))
            specs_.seed_everything(seed)
            found.append(float(_loss(model, specs, name, inputs)))
        for p, last in zip(held, now, strict=True):
            p.copy_(last)
    return found


def _batches(
    model: nn.Module, specs: str, name: str, inputs: Inputs, where: Batched, seed: int, size: int
) -> Iterator[Inputs]:
    """Yield the batch, and one of as many samples of a larger one, of which half have another target than the first.

    A sample has another target where the loss of the first one's output is another with it.
    """
    yield inputs
    watched = _Watched(copied(inputs))
    with torch.no_grad():
        loss_of(specs, name, _disturbed_output(model, inputs, seed), watched)
    if not watched.is_read:
        return
    many = inputs_of(specs, name, seed, _MANY)
    if batched(specs, name, seed, _MANY) != where or not _are_of_one_form(many, where, _MANY):
        return
    output = _disturbed_output(model, chosen(many, where, [0]), seed)
    with torch.no_grad():
        losses = [float(loss_of(specs, name, output, copied(chosen(many, where, [index])))) for index in range(_MANY)]
    same = [index for index, loss in enumerate(losses) if math.isclose(loss, losses[0], rel_tol=_MARGIN)]
    others = [index for index in range(_MANY) if index not in same][: size // 2]
    both = [*same[: size - len(others)], *others]
    if len(both) == size:
        yield chosen(many, where, both)


def _are_of_one_form(inputs: Inputs, where: Batched, size: int) -> bool:
    forms = forms_of_samples(inputs, where, size)
    return all(each == forms[0] for each in forms)


def _fits_in_every_place(
    model: nn.Module, specs: str, name: str, inputs: Inputs, where: Batched, seed: int, size: int
) -> bool:
    """Whether the loss takes the outputs of other samples, or of one in every place, with the targets of the batch."""
    if not _are_of_one_form(inputs, where, size):
        return False
    with torch.no_grad():
        loss_of(specs, name, _disturbed_output(model, inputs, seed), copied(inputs))  # what it raises is its own fault
        with phase(current()):  # whose mark is put back behind an exception, which leaves its own
            try:
                for places in ([0] * size, [size - 1, *range(size - 1)]):
                    output = _disturbed_output(model, chosen(inputs, where, places), seed)
                    loss_of(specs, name, output, copied(inputs))
            except Exception:  # lengths may be in a mask, too; the same loss has just taken the batch's own outputs
                return False
    return True


class _Watched(dict[str, object]):
    """A batch that tells whether any of it was asked for."""

    is_read = False

    def _reading(self) -> "_Watched":
        self.is_read = True
        return self

    def __getitem__(self, key: str) -> object:
        return dict.__getitem__(self._reading(), key)

    def __iter__(self) -> Iterator[str]:
        return dict.__iter__(self._reading())

    def get(self, *given: Any) -> Any:
        return dict.get(self._reading(), *given)

    def keys(self) -> Any:
        return dict.keys(self._reading())

    def items(self) -> Any:
        return dict.items(self._reading())

    def values(self) -> Any:
        return dict.values(self._reading())


def _looks_at_the_batch(
    model: nn.Module, specs: str, name: str, inputs: Inputs, where: Batched, seed: int, size: int
) -> bool:
    """Whether the loss of the same output is another one when the samples that it is given change places."""
    output = _disturbed_output(model, inputs, seed)
    turned = chosen(inputs, where, [size - 1, *range(size - 1)])
    with torch.no_grad():
        plain = float(loss_of(specs, name, output, copied(inputs)))
        other = float(loss_of(specs, name, output, turned))
    return math.isfinite(plain) and math.isfinite(other) and not math.isclose(plain, other, rel_tol=_MARGIN)


def _disturbed_output(model: nn.Module, inputs: Inputs, seed: int) -> object:
    """Return the output with a little noise: a last layer that begins as zero gives all samples the same.

    At zero a class and its contrary have the same loss, too.
    """
    generator = torch.Generator().manual_seed(seed)

    def noisy(path: str, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point() or tensor.layout != torch.strided:
            return tensor
        noise = torch.randn(tensor.shape, generator=generator)
        return tensor + _NOISE * noise.to(tensor.device, tensor.dtype)

    with torch.no_grad():
        specs_.seed_everything(seed)
        with phase("forward"):
            output = called(model, copied(inputs))
        return replaced(output, noisy)


def _loss(model: nn.Module, specs: str, name: str, inputs: Inputs, *, targets: Inputs | None = None) -> torch.Tensor:
    given = copied(inputs)
    with phase("forward"):
        output = called(model, given)
    return loss_of(specs, name, output, given if targets is None else copied(targets))


def _norm(model: nn.Module) -> float:
    squares = [
        float(p.grad.detach().to_dense().double().square().sum()) for p in model.parameters() if p.grad is not None
    ]
    return math.sqrt(sum(squares))
