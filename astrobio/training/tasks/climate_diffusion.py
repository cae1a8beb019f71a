"""The diffusion model learns seasons of air temperature; scored on planets not seen, with many continents each."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from astrobio.data.cubes import NUM_MONTHS, CubeDataset, season, simulate_cubes
from astrobio.data.planets import PlanetParameters
from astrobio.models.climate_diffusion import ClimateDiffusion, ClimateDiffusionConfig, Denoising, denoising_loss
from astrobio.training.task import Batch, Preset, step_generator
from astrobio.training.tasks.season_task import SeasonTask, parts_of

# (held-out planets that samples are compared for, continents and samples for each, DDIM steps)
_ENSEMBLE = {"base": (16, 6, 25), "fast": (6, 4, 20)}
_NOISE_DRAWS = 4  # per held-out planet, each with its month, step and noise


class ClimateDiffusionTask(SeasonTask):
    """Seasons of air temperature given a planet's parameters; a fifth of the planets is held out."""

    name = "climate_diffusion"
    models: Mapping[str, str] = {"base": "climate_diffusion_base", "fast": "climate_diffusion_small"}
    presets: Mapping[str, Preset] = {
        "base": Preset(steps=1500, batch_size=8, learning_rate=5e-3, warm_up_steps=60),
        "fast": Preset(steps=700, batch_size=8, learning_rate=8e-3, warm_up_steps=20),
    }

    @cached_property
    def ensemble(self) -> CubeDataset:
        """Held-out planets, each several times in a row with other continents."""
        num_planets, num_continents, _ = _ENSEMBLE[self.preset_name]
        table = self.held_out.parameters[:num_planets].repeat_interleave(num_continents, dim=0)
        # Step -1 has no batch, so that these continents are none of those learned from.
        return simulate_cubes(PlanetParameters.from_tensor(table), step_generator(self.seed, -1))

    def batch(self, step: int, batch_size: int) -> Batch:
        """Planets, first months, noising steps and noise, drawn anew: the inputs of the model."""
        return noised_batch(self.train, batch_size, step_generator(self.seed, step))

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Squared error of the velocity."""
        return {"loss": denoising_loss(model(**batch))}

    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        """See `denoising_figures` and `sample_figures`."""
        diffusion = _diffusion(model)
        generator = step_generator(self.seed, -2)
        figures = {"num_planets": float(len(self.held_out))}
        figures |= denoising_figures(diffusion, self.train, self.held_out, generator)
        num_planets, _, num_steps = _ENSEMBLE[self.preset_name]
        months = _spread_months(num_planets, len(self.ensemble))
        inputs = {"planet_parameters": self.ensemble.parameters.float(), "first_month": months}
        device = diffusion.signal.device
        samples = [
            diffusion.sample(
                part["planet_parameters"].to(device),
                part["first_month"].to(device),
                generator=generator,
                num_steps=num_steps,
            ).cpu()
            for part in parts_of(inputs)
        ]
        mean_year = self.train.cubes[:, :1].mean(dim=0).expand(len(months), -1, -1, -1, -1, -1)
        return figures | sample_figures(
            torch.cat(samples),
            season(self.ensemble.cubes[:, :1], months),
            season(mean_year, months),
            num_planets=num_planets,
        )


def _diffusion(model: nn.Module) -> ClimateDiffusion:
    if not isinstance(model, ClimateDiffusion):
        raise TypeError(f"samples are drawn from a ClimateDiffusion, not from a {type(model).__name__}")
    return model


def noised_batch(planets: CubeDataset, batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Random seasons of random planets with random noise, as keyword arguments of `ClimateDiffusion.forward`."""
    chosen = planets[torch.randint(len(planets), (batch_size,), generator=generator)]
    first_month = torch.randint(NUM_MONTHS, (batch_size,), generator=generator)
    cube = season(chosen.cubes[:, :1], first_month)
    return {
        "cube": cube,
        "noise": torch.randn(cube.shape, generator=generator),
        "step": torch.randint(ClimateDiffusionConfig.num_steps, (batch_size,), generator=generator),
        "planet_parameters": chosen.parameters.float(),
        "first_month": first_month,
    }


@torch.no_grad()
def denoising_figures(
    model: ClimateDiffusion, train: CubeDataset, held_out: CubeDataset, generator: torch.Generator
) -> dict[str, float]:
    """Losses on held-out planets.

    Returns:
        loss: of the model. baseline_loss: of the best predictor that knows the noising step alone, which says
        -s_t E[x] with the mean season of training.
    """
    device = model.signal.device
    mean = model.scaling.to_unit(train.cubes[:, :1].to(device)).mean(dim=(0, 2), keepdim=True)
    losses, baselines = [], []
    for _ in range(_NOISE_DRAWS):
        for part in parts_of(noised_batch(held_out, len(held_out), generator)):
            inputs = {name: tensor.to(device) for name, tensor in part.items()}
            output: Denoising = model(**inputs)
            signal = model.signal[inputs["step"]][:, None, None, None, None, None]
            blind = -(1 - signal).sqrt() * mean
            losses.append((output.velocity - output.target).square().mean(dim=(1, 2, 3, 4, 5)))
            baselines.append((blind - output.target).square().mean(dim=(1, 2, 3, 4, 5)))
    return {"loss": float(torch.cat(losses).mean()), "baseline_loss": float(torch.cat(baselines).mean())}


def sample_figures(samples: Tensor, simulated: Tensor, training_mean: Tensor, *, num_planets: int) -> dict[str, float]:
    """Samples against simulations of the same planets with other continents.

    Args:
        samples: (planet * continents, 1, 3 months, level, latitude, longitude), K, the same planet in a row.
        simulated: of the same shape.
        training_mean: of the same shape, what the mean of the training planets says.
        num_planets: planets among them.

    Returns:
        In K: profile_rmse_k of the mean over continents, months and places, per planet and level; zonal_rmse_k of the
        mean over continents and longitudes, per planet, month, level and latitude; each with baseline_, for which all
        planets are the mean of training. spread_k of samples and spread_simulated_k of simulations: the standard
        deviation over continents and longitudes in the lowest layer.
    """
    grouped = [cube.double().view(num_planets, -1, *cube.shape[2:]) for cube in (samples, simulated, training_mean)]
    zonal = [cube.mean(dim=(1, 5)) for cube in grouped]  # (planet, month, level, latitude)
    profile = [means.mean(dim=(1, 3)) for means in zonal]  # (planet, level)
    spread = [cube[:, :, :, 0].var(dim=(1, 4)).mean().sqrt() for cube in grouped[:2]]
    return {
        "profile_rmse_k": _rms(profile[0] - profile[1]),
        "baseline_profile_rmse_k": _rms(profile[2] - profile[1]),
        "zonal_rmse_k": _rms(zonal[0] - zonal[1]),
        "baseline_zonal_rmse_k": _rms(zonal[2] - zonal[1]),
        "spread_k": float(spread[0]),
        "spread_simulated_k": float(spread[1]),
    }


def _rms(error: Tensor) -> float:
    return float(error.square().mean().sqrt())


def _spread_months(num_planets: int, num_samples: int) -> Tensor:
    """A first month per sample, the same for all of a planet, each season in turn: (num_samples,), int64."""
    return (3 * torch.arange(num_planets) % NUM_MONTHS).repeat_interleave(num_samples // num_planets)
