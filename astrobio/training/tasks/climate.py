"""The climate surrogate learns the seasonal cycles of the energy-balance model; scored on planets it has not seen."""

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from astrobio.data.climate_dataset import ClimateDataset, make_climate_dataset, split_by_planet
from astrobio.data.fold import make_fold_dataset
from astrobio.models.climate_surrogate import climate_surrogate_loss
from astrobio.registry import create_model
from astrobio.training.task import Batch, Preset, TrainingTask, step_generator

HELD_OUT_FRACTION = 0.2
ENERGY_WEIGHT = 0.1
_NUM_PLANETS = {"base": 24_000, "fast": 500}
# Beside them, planets near the fold to learn from, and the share of a batch that they make up. One planet in a hundred,
# all near the fold, carries most of the squared error, and drawing planets at random rarely finds them.
_NUM_FOLD_PLANETS = {"base": 12_000, "fast": 0}
_FOLD_SHARE = 0.4


class ClimateTask(TrainingTask):
    """Planet parameters to seasonal temperature cycles; a fifth of the planets is held out.

    The held-out planets are drawn from the sampling ranges alone. Those learned from are joined by others near the
    fold, where a planet freezes.
    """

    name = "climate"
    presets: Mapping[str, Preset] = {
        "base": Preset(steps=10_000, batch_size=64, learning_rate=2e-3, warm_up_steps=300),
        "fast": Preset(steps=500, batch_size=64, learning_rate=2e-3, warm_up_steps=25),
    }

    @property
    def _split(self) -> tuple[ClimateDataset, ClimateDataset]:
        return _simulated_split(_NUM_PLANETS[self.preset_name], self.seed)

    @property
    def train(self) -> ClimateDataset:
        """The planets that are learned from."""
        return self._split[0]

    @property
    def held_out(self) -> ClimateDataset:
        """The planets that are measured on, none of them in `train`."""
        return self._split[1]

    def build_model(self) -> nn.Module:
        """A new surrogate."""
        return create_model("climate_surrogate_small")

    @property
    def fold(self) -> ClimateDataset | None:
        """The planets near the fold that are learned from as well; None where the preset has none."""
        num_planets = _NUM_FOLD_PLANETS[self.preset_name]
        return _simulated_fold(num_planets, self.seed) if num_planets else None

    def batch(self, step: int, batch_size: int) -> Batch:
        """Planets drawn with replacement: parameters (B, 7), temperature (B, time, latitude) in K, both float32."""
        generator = step_generator(self.seed, step)
        fold = self.fold
        num_fold = 0 if fold is None else round(_FOLD_SHARE * batch_size)
        parts = [self.train[torch.randint(len(self.train), (batch_size - num_fold,), generator=generator)]]
        if fold is not None:
            parts.append(fold[torch.randint(len(fold), (num_fold,), generator=generator)])
        return {
            "planet_parameters": torch.cat([part.parameters for part in parts]).float(),
            "temperature_k": torch.cat([part.temperature_k for part in parts]).float(),
        }

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Squared error against the simulated cycle, with the heat budget as a second term."""
        parameters = batch["planet_parameters"]
        prediction = model(parameters)
        return {
            "loss": climate_surrogate_loss(prediction, batch["temperature_k"], parameters, energy_weight=ENERGY_WEIGHT)
        }

    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        """See `held_out_figures`."""
        return held_out_figures(model, self.train, self.held_out)


@lru_cache(maxsize=2)  # simulating takes longer than any evaluation
def _simulated_split(num_planets: int, seed: int) -> tuple[ClimateDataset, ClimateDataset]:
    dataset = make_climate_dataset(num_planets, seed)
    return split_by_planet(dataset, held_out_fraction=HELD_OUT_FRACTION, seed=seed)


@lru_cache(maxsize=2)
def _simulated_fold(num_planets: int, seed: int) -> ClimateDataset:
    return make_fold_dataset(num_planets, seed)


def held_out_figures(model: nn.Module, train: ClimateDataset, held_out: ClimateDataset) -> dict[str, float]:
    """Errors on the held-out planets, over all times and latitudes.

    Returns:
        num_planets: held-out planets. rmse_k: root mean squared error of the model, K. baseline_rmse_k: the same for
        predicting the mean training cycle, per time and latitude, for every planet. r_squared: 1 - squared error /
        squared deviation from the held-out mean, per time and latitude.
    """
    target = held_out.temperature_k
    device = next(iter(model.parameters())).device
    error = model(held_out.parameters.float().to(device)).double().cpu() - target
    baseline_error = train.temperature_k.mean(dim=0) - target
    deviation = target - target.mean(dim=0)
    return {
        "num_planets": float(len(held_out)),
        "rmse_k": float(error.square().mean().sqrt()),
        "baseline_rmse_k": float(baseline_error.square().mean().sqrt()),
        "r_squared": 1.0 - float(error.square().sum() / deviation.square().sum()),
    }
