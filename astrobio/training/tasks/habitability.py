"""Whether planets that were not trained on are habitable."""

from collections.abc import Mapping
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrobio.data.habitability import HabitabilityDataset, make_habitability_dataset
from astrobio.models.habitability_fusion import HabitabilityFusion, HabitabilityFusionConfig, model_inputs
from astrobio.training.ranking import area_under_roc
from astrobio.training.task import Batch, Preset, TrainingTask, step_generator

_NUM_HELD_OUT = 1000
_NUM_TRAINING = {"base": 6000, "fast": 1500}
_AT_ONCE = 250  # held-out planets that are judged together, which fit the memory
_HELD_OUT_STEP = -1  # no step of training has this number


class HabitabilityTask(TrainingTask):
    """Fits `HabitabilityFusion` to simulated planets and scores it on others."""

    name = "habitability"
    model_name = "habitability_fusion_small"
    presets: Mapping[str, Preset] = {
        "base": Preset(steps=2500, batch_size=64, learning_rate=2e-3),
        "fast": Preset(steps=400, batch_size=48, learning_rate=2e-3),
    }

    @property
    def datasets(self) -> tuple[HabitabilityDataset, HabitabilityDataset]:
        """(training, held-out) planets, drawn one after the other and so all different."""
        return _simulated(_NUM_TRAINING[self.preset_name], self.seed)

    def build_model(self) -> nn.Module:
        """A new `HabitabilityFusion`."""
        return HabitabilityFusion(HabitabilityFusionConfig())

    def batch(self, step: int, batch_size: int) -> Batch:
        """Training planets drawn with replacement, their spectra measured anew at every step."""
        training, _ = self.datasets
        generator = step_generator(self.seed, step)
        drawn = training[torch.randint(len(training), (batch_size,), generator=generator)]
        return {**model_inputs(drawn, generator), "is_habitable": drawn.is_habitable}

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Binary cross entropy in nat."""
        logit = model(**{name: tensor for name, tensor in batch.items() if name != "is_habitable"})
        return {"loss": F.binary_cross_entropy_with_logits(logit, batch["is_habitable"].to(logit.dtype))}

    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        """Figures on held-out planets.

        `accuracy` is the share of planets judged rightly at even odds, `baseline_accuracy` that of the more frequent
        answer. `accuracy_CONDITION` is the accuracy among the planets of which both other conditions hold, so that
        this one decides.
        """
        _, held_out = self.datasets
        model.eval()  # for callers other than the trainer, which has done so
        device = next(model.parameters()).device
        generator = step_generator(self.seed, _HELD_OUT_STEP)
        parts = []
        for first in range(0, len(held_out), _AT_ONCE):
            some = torch.arange(first, min(first + _AT_ONCE, len(held_out)))
            inputs = model_inputs(held_out[some], generator)
            parts.append(model(**{name: tensor.to(device) for name, tensor in inputs.items()}))
        logits = torch.cat(parts).cpu()
        conditions, is_habitable = held_out.conditions, held_out.is_habitable
        is_right = (logits > 0) == is_habitable
        figures = {
            "num_held_out": float(len(held_out)),
            "accuracy": float(is_right.double().mean()),
            "baseline_accuracy": float(torch.maximum(is_habitable.double().mean(), (~is_habitable).double().mean())),
            "auc": area_under_roc(logits.double(), is_habitable),
        }
        for index, name in enumerate(("climate", "water", "metabolism")):
            others = conditions[:, [other for other in range(3) if other != index]].all(dim=1)
            figures[f"accuracy_{name}"] = float(is_right[others].double().mean())
        return figures


@lru_cache(maxsize=2)  # simulating takes longer than many steps
def _simulated(num_training: int, seed: int) -> tuple[HabitabilityDataset, HabitabilityDataset]:
    dataset = make_habitability_dataset(num_training + _NUM_HELD_OUT, seed)
    order = torch.arange(len(dataset))
    return dataset[order[:num_training]], dataset[order[num_training:]]
