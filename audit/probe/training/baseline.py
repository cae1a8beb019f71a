"""The best prediction that does not look at the input: constants in the place of what the model returns.

Each output that depends on the weights is replaced by one constant, the same for every sample and, where its size
differs between batches, for every place along that dimension. The constants are then fitted to the very batches on
which they are compared, by L-BFGS from two starts: the mean of the model's outputs, and zero. What is a distribution in
all outputs, as probabilities or their logarithms, is one in the constants too: others would not be predictions.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .. import devices
from .. import specs as specs_
from ..calling import StandIn
from ..outputs import replaced
from ..parts import SpecError
from ..phases import phase
from .loop import Loop, losses_of
from .problem import Problem, problem_of

_ITERATIONS = 100
_ROUNDINGS = 16  # of a sum over classes: that of each term, and of what was subtracted before
_SHAPE = tuple[int, ...]


def compare(specs: str, section: str, name: str, seed: int, steps: int, folder: str) -> dict[str, object]:
    """Return the losses of the trained model in eval mode, and of the best constants, on the same batches."""
    problem = problem_of(specs, section, name, seed)
    loop = Loop(problem, seed)
    loop.load(Path(folder) / f"{steps}.pt")
    batches = devices.placed_in(problem.compared(steps))
    return {"model": losses_of(problem, loop.model, batches), "constant": best_constants(problem, loop.model, batches)}


def best_constants(problem: Problem, model: torch.nn.Module, batches: list[object]) -> list[float] | None:
    """Return the loss of each batch under the best constants found; None where the loss does not depend on any."""
    recorded = _Recorded(model.train(problem.differs_in_training))
    others = devices.placed_in(problem.of_another_size())
    for index, batch in enumerate([*batches, *others]):
        recorded.turn_to(index)
        specs_.seed_everything(problem.seed + index)
        problem.loss(recorded, batch)
    best: list[float] | None = None
    for from_zero in (False, True):
        values = _fitted(problem, recorded, batches, from_zero=from_zero)
        if values is not None and (best is None or sum(values) < sum(best)):
            best = values
    return best


def _fitted(problem: Problem, recorded: "_Recorded", batches: list[object], *, from_zero: bool) -> list[float] | None:
    recorded.begin_constants(from_zero=from_zero)
    if not recorded.constants:
        return None
    optimizer = torch.optim.LBFGS(
        list(recorded.constants.values()), max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )
    best: list[float] | None = None

    def each() -> list[torch.Tensor]:
        values = []
        for index, batch in enumerate(batches):
            recorded.turn_to(index)
            specs_.seed_everything(problem.seed + index)
            values.append(problem.loss(recorded, batch))
        return values

    def closure() -> float:
        nonlocal best
        optimizer.zero_grad()
        values = each()
        total = torch.stack(values).mean()
        if not total.requires_grad:
            raise _NotDependent
        with phase("backward"):
            total.backward()  # type: ignore[no-untyped-call]
        numbers = [float(value.detach()) for value in values]
        if sum(numbers) - sum(numbers) == 0 and (best is None or sum(numbers) < sum(best)):
            best = numbers
        return float(total.detach())

    try:
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    except _NotDependent:
        return None
    return best


class _NotDependent(Exception):
    """No constant reaches the loss."""


class _Recorded(StandIn):
    """Stands for the model in its loss: returns what it returned, later with constants in it.

    What the loss asks for beside calling it, such as its configuration, is the model's own.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__(model)
        self.constants: dict[str, torch.Tensor] = {}
        self._outputs: dict[tuple[int, int], Any] = {}
        self._shapes: dict[str, list[_SHAPE]] = {}
        self._sums: dict[str, list[torch.Tensor]] = {}
        self._distributions: dict[str, set[_Distribution]] = {}
        self._batch, self._calls = 0, 0

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["stands_for"], name)

    def turn_to(self, batch: int) -> None:
        """Say which batch the next calls are about."""
        self._batch, self._calls = batch, 0

    def forward(self, *arguments: object, **named: object) -> Any:
        """Return the model's output for the batch; the constants where there are some."""
        key = (self._batch, self._calls)
        self._calls += 1
        if key not in self._outputs:
            with phase("forward"), torch.enable_grad():
                output = self.__dict__["stands_for"](*arguments, **named)
            self._outputs[key] = replaced(output, self._note, f"{key[1]}")
        return replaced(self._outputs[key], self._constant, f"{key[1]}") if self.constants else self._outputs[key]

    def _note(self, path: str, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.requires_grad and tensor.is_floating_point() and tensor.dim():
            self._shapes.setdefault(path, []).append(tuple(tensor.shape))
            self._sums.setdefault(path, []).append(tensor.detach().float())
            found = _distributions(tensor.detach())
            self._distributions[path] = self._distributions.get(path, found) & found
        return tensor.detach()

    def begin_constants(self, *, from_zero: bool) -> None:
        """Make a constant for each output that depends on the weights."""
        self.constants = {}
        for path, shapes in self._shapes.items():
            if len({len(shape) for shape in shapes}) != 1:
                raise SpecError("an output has a number of dimensions that differs between batches")
            common = [sizes[0] if len(set(sizes)) == 1 else 1 for sizes in zip(*shapes, strict=True)]
            common[0] = 1
            start = torch.stack([_reduced(each, common) for each in self._sums[path]]).mean(0)
            if self._distribution(path)[0] is torch.softmax:
                start = start.clamp_min(torch.finfo(start.dtype).tiny).log()
            self.constants[path] = (torch.zeros_like(start) if from_zero else start).requires_grad_()

    def _constant(self, path: str, tensor: torch.Tensor) -> torch.Tensor:
        constant = self.constants.get(path)
        if constant is None:
            return tensor
        normalised, axis = self._distribution(path)
        return normalised(constant, axis).to(tensor.dtype).expand(tensor.shape)

    def _distribution(self, path: str) -> "_Distribution":
        """Return what makes a distribution of a constant, and along which axis; what leaves it as it is elsewhere."""
        sizes = [{shape[axis] for shape in self._shapes[path]} for axis in range(len(self._shapes[path][0]))]
        constant = (each for each in self._distributions[path] if len(sizes[each[1]]) == 1)
        return max(constant, key=lambda each: each[1], default=(_as_it_is, -1))


_Distribution = tuple[Callable[[torch.Tensor, int], torch.Tensor], int]


def _as_it_is(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    return tensor


def _distributions(tensor: torch.Tensor) -> set[_Distribution]:
    """Return along which axes, but that of samples, all entries are probabilities, or logarithms of them.

    What one number fills, as that of padded frames, says nothing.
    """
    found: set[_Distribution] = set()
    for axis in range(1, tensor.dim()):
        rows = tensor.detach().movedim(axis, -1).flatten(0, -2).float()
        rows = rows[(rows != rows[:, :1]).any(dim=1)]
        if not rows.numel():
            continue
        near = _ROUNDINGS * torch.finfo(tensor.dtype).eps * (1 + math.log(rows.shape[1]))
        if bool((rows.logsumexp(1).abs() <= near).all()):
            found.add((torch.log_softmax, axis))
        if bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() <= near).all()):
            found.add((torch.softmax, axis))
    return found


def _reduced(tensor: torch.Tensor, shape: list[int]) -> torch.Tensor:
    dims = [dim for dim, size in enumerate(shape) if size != tensor.shape[dim]]
    return tensor.mean(dim=dims, keepdim=True) if dims else tensor
