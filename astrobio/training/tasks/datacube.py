"""The datacube U-Net learns the next season of a planet's climate; scored against persistence on planets not seen."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from astrobio.data.cubes import CUBE_VARIABLES, MONTHS_PER_SEASON, NUM_MONTHS, CubeDataset, season
from astrobio.models.cube_features import CubeScaling
from astrobio.models.datacube_unet import cube_loss
from astrobio.training.task import Batch, Preset, step_generator
from astrobio.training.tasks.season_task import SeasonTask, parts_of


class DatacubeTask(SeasonTask):
    """Three months of a planet to the next three, beginning with any month; a fifth of the planets is held out."""

    name = "datacube"
    models: Mapping[str, str] = {"base": "datacube_unet_base", "fast": "datacube_unet_small"}
    presets: Mapping[str, Preset] = {
        "base": Preset(steps=1500, batch_size=8, learning_rate=5e-3, warm_up_steps=60),
        "fast": Preset(steps=600, batch_size=8, learning_rate=8e-3, warm_up_steps=20),
    }

    @cached_property
    def _scaling(self) -> CubeScaling:
        return CubeScaling()

    def batch(self, step: int, batch_size: int) -> Batch:
        """Planets and first months drawn with replacement: the inputs of the model, and the next season as "target"."""
        generator = step_generator(self.seed, step)
        planets = self.train[torch.randint(len(self.train), (batch_size,), generator=generator)]
        return season_batch(planets, torch.randint(NUM_MONTHS, (batch_size,), generator=generator))

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Squared error against the next season, each variable and level in units of its scale."""
        inputs = {name: tensor for name, tensor in batch.items() if name != "target"}
        scaling = self._scaling.to(batch["target"].device)
        return {"loss": cube_loss(model(**inputs), batch["target"], scaling)}

    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        """See `held_out_figures`."""
        return held_out_figures(model, self.train, self.held_out)


def season_batch(planets: CubeDataset, first_month: Tensor) -> dict[str, Tensor]:
    """The inputs of the U-Net for these planets and months, and the next season as "target"; on the CPU."""
    return {
        "cube": season(planets.cubes, first_month),
        "land": planets.land,
        "planet_parameters": planets.parameters.float(),
        "first_month": first_month,
        "target": season(planets.cubes, first_month + MONTHS_PER_SEASON),
    }


def held_out_figures(model: nn.Module, train: CubeDataset, held_out: CubeDataset) -> dict[str, float]:
    """Errors on the held-out planets, over all first months, levels and cells.

    Returns:
        num_planets: held-out planets. For every variable v of a cube, in its unit: rmse_v of the model, baseline_rmse_v
        of persistence, for which the next season is like the present one, and baseline_mean_change_rmse_v of
        persistence plus the mean change in training from that month, per level and cell. gain_v and gain: how many
        times lower the error is than that of persistence, and the lowest of these.
    """
    device = next(iter(model.parameters())).device
    squared = {name: torch.zeros(len(CUBE_VARIABLES), dtype=torch.float64) for name in ("model", "same", "mean_change")}
    for month in range(NUM_MONTHS):
        months = torch.full((len(held_out),), month)
        batch = season_batch(held_out, months)
        target = batch.pop("target").double()
        present = batch["cube"].double()
        prediction = _predicted(model, {name: tensor.to(device) for name, tensor in batch.items()})
        training = season_batch(train, torch.full((len(train),), month))
        mean_change = (training["target"] - training["cube"]).double().mean(dim=0)
        for name, error in (
            ("model", prediction - target),
            ("same", present - target),
            ("mean_change", present + mean_change - target),
        ):
            squared[name] += error.square().mean(dim=(0, 2, 3, 4, 5)) / NUM_MONTHS
    figures = {"num_planets": float(len(held_out))}
    errors = {name: sums.sqrt().tolist() for name, sums in squared.items()}
    for index, variable in enumerate(CUBE_VARIABLES):
        rmse, same, mean_change = (errors[name][index] for name in ("model", "same", "mean_change"))
        figures[f"rmse_{variable}"] = rmse
        figures[f"baseline_rmse_{variable}"] = same
        figures[f"baseline_mean_change_rmse_{variable}"] = mean_change
        figures[f"gain_{variable}"] = same / rmse
    figures["gain"] = min(figures[f"gain_{variable}"] for variable in CUBE_VARIABLES)
    return figures


def _predicted(model: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """The predictions in float64 on the CPU."""
    return torch.cat([model(**part).double().cpu() for part in parts_of(inputs)])
