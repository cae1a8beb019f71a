"""A task that is learned in milliseconds."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from astrobio.training.task import Batch, Preset, TrainingTask, step_generator


class LineTask(TrainingTask):
    """y = 2 x1 - 3 x2 + 1, with a model that has dropout, so that the random state matters."""

    name = "line"
    presets = {"base": Preset(steps=20, batch_size=12, learning_rate=0.05, warm_up_steps=4)}  # noqa: RUF012

    def build_model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))

    def batch(self, step: int, batch_size: int) -> Batch:
        points = torch.randn(batch_size, 2, generator=step_generator(self.seed, step))
        return {"points": points, "values": points @ torch.tensor([[2.0], [-3.0]]) + 1.0}

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        error = model(batch["points"]) - batch["values"]
        return {"loss": error.square().mean(), "mean_error": error.mean()}

    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        batch = self.batch(10**6, 256)
        error = model(batch["points"]) - batch["values"]
        return {"rmse": float(error.square().mean().sqrt()), "baseline_rmse": float(batch["values"].std())}


@pytest.fixture
def make_task() -> Callable[..., TrainingTask]:
    return LineTask
