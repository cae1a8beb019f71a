"""The climate surrogate learns the seasonal cycles of the energy-balance model; scored on planets it has not seen."""

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from astrobio.data.climate_dataset import ClimateDataset, make_climate_dataset, split_by_planet
from astrobio.models.climate_surrogate import climate_surrogate_loss
from astrobio.registry import create_model
from astrobio.training.task import Batch, Preset, TrainingTask, step_generator

HELD_OUT_FRACTION = 0.2
ENERGY_WEIGHT = 0.1
_NUM_PLANETS = {"base": 24_000, "fast": 500}


class ClimateTask(TrainingTask):
    """Planet parameters to seasonal temperature cycles; a fifth of the planets is held out."""

    name = "climate"
    presets = {  # noqa: RUF012 - constant, and Mapping in the base class
        "base": Preset(steps=14_000, batch_size=64, learning_rate=2e-3, warm_up_steps=300),
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

    def batch(self, step: int, batch_size: int) -> Batch:
        """Planets drawn with replacement: parameters (B, 7), temperature (B, time, latitude) in K, both float32."""
        chosen = torch.randint(len(self.train), (batch_size,), generator=step_generator(self.seed, step))
        planets = self.train[chosen]
        return {"planet_parameters": planets.parameters.float(), "temperature_k": planets.temperature_k.float()}

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
