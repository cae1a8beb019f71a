"""A task that is learned in milliseconds; as a script, a run of it: line_task.py FOLDER STEPS [resume] [slowly]."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from astrobio.training.task import Batch, Preset, TrainingTask, step_generator
from astrobio.training.trainer import FitSettings, fit


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


class UndroppedLineTask(LineTask):
    """The same with a model that has nothing random in its forward."""

    def build_model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))


if __name__ == "__main__":
    told = set(sys.argv[3:])
    fit(
        UndroppedLineTask() if "undropped" in told else LineTask(),
        output=Path(sys.argv[1]),
        steps=int(sys.argv[2]),
        resume="resume" in told,
        settings=FitSettings(checkpoint_every=1 if "often" in told else None),
        report=lambda line: print(line, flush=True),
        on_step=lambda record: time.sleep(0.005) if "slowly" in told else None,
    )
