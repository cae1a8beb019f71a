"""What a trainer has to know of a learning task: its model, its batches, its loss and its score.

A task is a pure function of its seed: the batch of a step depends on the seed and the step alone, so that a run that
was interrupted goes on with the batches that it would have had.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Preset:
    """How long and how fast to learn.

    Attributes:
        steps: optimiser steps.
        batch_size: samples per step.
        learning_rate: peak of the schedule, a linear warm-up followed by a cosine to zero.
        weight_decay: of AdamW (Loshchilov & Hutter 2019).
        warm_up_steps: steps of the linear warm-up.
        max_grad_norm: gradients with a larger Euclidean norm are scaled down to it.
        schedule: what follows the warm-up, one of `astrobio.training.schedules.SCHEDULES`.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    warm_up_steps: int = 50
    max_grad_norm: float = 1.0
    schedule: str = "cosine"


class TrainingTask(ABC):
    """A model, the data it learns from, and what is measured on data it has not seen.

    `presets` names at least "base", which reaches the published figures within 15 minutes on two CPU cores, and
    "fast", which takes at most a minute and shows that the task is learned at all.

    `model_name` is the registered model whose card and inputs describe the learned one; None means the first that is
    registered with its class.
    """

    name: str
    presets: Mapping[str, Preset]
    model_name: str | None = None

    def __init__(self, preset: str = "base", *, seed: int = 0) -> None:
        """Choose a preset; nothing is generated before it is needed.

        Raises:
            ValueError: the task has no such preset.
        """
        if preset not in self.presets:
            raise ValueError(f"{self.name} has no preset {preset!r}; it has: {', '.join(sorted(self.presets))}")
        self.preset_name = preset
        self.preset = self.presets[preset]
        self.seed = seed

    @abstractmethod
    def build_model(self) -> nn.Module:
        """A new model with the weights that the global random state gives it."""

    @abstractmethod
    def batch(self, step: int, batch_size: int) -> Batch:
        """The training batch of a step, counted from 0, on the CPU: a function of seed, step and size alone."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Scalars of which "loss" is minimised and the others are logged. `batch` is on the model's device.

        Call the model and none of its methods: several processes wrap it in another module, which shares gradients.
        """

    @abstractmethod
    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        """Figures on held-out data, with those of a baseline that does not look at its input (`baseline_*`).

        The model is in evaluation mode, under `torch.no_grad()`.
        """


def step_generator(seed: int, step: int) -> torch.Generator:
    """A generator on the CPU for one step of one seed; the streams of different pairs have nothing in common."""
    mixed = hashlib.sha256(f"{seed}/{step}".encode()).digest()  # adding the two would repeat streams across seeds
    return torch.Generator().manual_seed(int.from_bytes(mixed[:8]) % 2**63)
