"""What is trained: a model of MODELS on a few fixed batches, or an entry of TRAINING on its own batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import torch

from .. import specs as specs_
from ..calling import called
from ..parts import SpecError, as_inputs, refuse_unknown
from ..phases import phase

BATCH_SIZE = 4  # of a model of MODELS, which declares none
FIXED_BATCHES = 8  # few enough to be learned by heart: nothing says that the inputs of the specs follow any rule
_LEARNING_RATE = 1e-3


class OutOfBatches(Exception):
    """The entry has no batch for a step."""


class Problem(ABC):
    """A model, its batches by step, its loss and its optimizer."""

    def __init__(self, spec: Mapping[str, object], seed: int) -> None:
        """Keep the entry."""
        self.spec, self.seed = spec, seed
        self.differs_in_training = spec.get("differs_in_training") is True

    def build(self) -> torch.nn.Module:
        """Return a new model with the weights that the global random state gives it."""
        with phase("build"):
            model = specs_.function(self.spec, "build")()
            if not isinstance(model, torch.nn.Module):
                raise SpecError(f"'build' returned {type(model).__name__}, not a torch.nn.Module")
        return model

    @abstractmethod
    def batch(self, step: int) -> object:
        """Return the batch of a step, counted from 0."""

    @abstractmethod
    def loss(self, model: torch.nn.Module, batch: object) -> torch.Tensor:
        """Return the loss of a model on a batch, one element."""

    @abstractmethod
    def held_out(self, steps: int) -> list[object]:
        """Return batches that a run of so many steps does not learn from."""

    @abstractmethod
    def compared(self, steps: int) -> list[object]:
        """Return the batches on which the model is compared with what ignores its input."""

    def of_another_size(self) -> list[object]:
        """Return batches of other sizes, which show along which dimension of an output the samples lie."""
        return []

    @property
    def gives_optimizer(self) -> bool:
        """Whether the entry makes its optimizer."""
        return "optimizer" in self.spec

    def optimizer(self, model: torch.nn.Module, *, is_sparse: bool) -> torch.optim.Optimizer:
        """Return the entry's optimizer, else Adam; plain descent for sparse gradients, which Adam does not take."""
        if self.gives_optimizer:
            with phase("optimizer"):
                made = specs_.function(self.spec, "optimizer")(model)
                if not isinstance(made, torch.optim.Optimizer):
                    raise SpecError(f"'optimizer' returned {type(made).__name__}, not a torch.optim.Optimizer")
            return made
        trainable = [p for p in model.parameters() if p.requires_grad]
        return (torch.optim.SGD if is_sparse else torch.optim.Adam)(trainable, lr=_LEARNING_RATE)

    def scheduler(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler | None:
        """Return the entry's schedule, which is stepped after each optimizer step."""
        if "scheduler" not in self.spec:
            return None
        with phase("scheduler"):
            made = specs_.function(self.spec, "scheduler")(optimizer)
        return cast(torch.optim.lr_scheduler.LRScheduler, made)


class _ModelProblem(Problem):
    """An entry of MODELS: the same few batches again and again."""

    def __init__(self, spec: Mapping[str, object], seed: int) -> None:
        super().__init__(spec, seed)
        self._drawn: dict[int, Mapping[str, object]] = {}
        self._takes_them = False

    def batch(self, step: int) -> object:
        return self._inputs(step % FIXED_BATCHES)

    def loss(self, model: torch.nn.Module, batch: object) -> torch.Tensor:
        inputs = cast(Mapping[str, object], batch)
        if not self._takes_them:
            refuse_unknown(model, inputs)
            self._takes_them = True
        with phase("forward"):
            output = called(model, inputs)
        with phase("loss"):
            return _one_number(specs_.function(self.spec, "loss")(output, inputs))

    def held_out(self, steps: int) -> list[object]:
        return [self._inputs(FIXED_BATCHES), self._inputs(FIXED_BATCHES + 1)]

    def compared(self, steps: int) -> list[object]:
        return [self._inputs(index) for index in range(FIXED_BATCHES)]

    def of_another_size(self) -> list[object]:
        return [self._made(0, BATCH_SIZE + 1)]

    def _inputs(self, index: int) -> Mapping[str, object]:
        if index not in self._drawn:
            self._drawn[index] = self._made(index, BATCH_SIZE)
        return dict(self._drawn[index])

    def _made(self, index: int, batch_size: int) -> Mapping[str, object]:
        with phase("inputs"):
            generator = torch.Generator().manual_seed(self.seed + 1 + index)
            return as_inputs(specs_.function(self.spec, "inputs")(batch_size, generator))


class _TrainingProblem(Problem):
    """An entry of TRAINING: its own batches, each once."""

    def __init__(self, spec: Mapping[str, object], seed: int) -> None:
        super().__init__(spec, seed)
        self._function: Callable[[int], object] | None = None
        self._iterator: Iterator[object] | None = None
        self._next = -1

    def batch(self, step: int) -> object:
        with phase("batches"):
            if self._function is None and (self._iterator is None or step != self._next):
                self._begin(step)
            if self._function is not None:
                return self._function(step)
            assert self._iterator is not None
            self._next = step + 1
            try:
                return next(self._iterator)
            except StopIteration:
                raise OutOfBatches(f"'batches' has none for step {step + 1}") from None

    def _begin(self, step: int) -> None:
        made = specs_.function(self.spec, "batches")(self.seed, step)
        if isinstance(made, Iterator):
            self._iterator = made
        elif callable(made):
            self._function = made
        else:
            raise SpecError(f"'batches' returned {type(made).__name__}, neither an iterator nor a function of the step")

    def loss(self, model: torch.nn.Module, batch: object) -> torch.Tensor:
        with phase("loss"):
            value = specs_.function(self.spec, "loss")(model, batch)
            return _one_number(value["loss"] if isinstance(value, Mapping) else value)

    def held_out(self, steps: int) -> list[object]:
        if "validation" not in self.spec:
            return [self.batch(steps), self.batch(steps + 1)]
        with phase("validation"):
            return list(cast("list[object]", specs_.function(self.spec, "validation")(self.seed)))

    def compared(self, steps: int) -> list[object]:
        return [self.batch(steps + index) for index in range(FIXED_BATCHES)]


def _one_number(value: object) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        raise SpecError("'loss' must return a tensor with one element")
    return value.reshape(())


def problem_of(specs: str, section: str, name: str, seed: int) -> Problem:
    """Return what an entry of the specs trains."""
    spec = specs_.entry(specs, section, name)
    return _TrainingProblem(spec, seed) if section == "TRAINING" else _ModelProblem(spec, seed)
