"""A diffusion model of air temperature: seasons that a planet may have, for continents that are not known.

Training adds noise to a season as in DDPM (Ho, Jain & Abbeel 2020): z_t = a_t x + s_t e with a_t^2 + s_t^2 = 1 and the
cosine schedule of Nichol & Dhariwal 2021. The network predicts the velocity v = a_t e - s_t x (Salimans & Ho 2022),
from which both the noise e = s_t z_t + a_t v and the season x = a_t z_t - s_t v follow; near pure noise, where e is
nearly z_t and says nothing about x, the velocity still is -x. Sampling is that of DDIM (Song, Meng & Ermon 2021): eta 0
is a deterministic function of the first noise, eta 1 over all steps is the ancestral sampling of DDPM.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from astrobio.data.cubes import CUBE_SAMPLING_RANGES, MONTHS_PER_SEASON, NUM_MONTHS
from astrobio.data.planets import PARAMETER_NAMES, PARAMETER_UNITS
from astrobio.models.cube_features import (
    CUBE_SHAPE,
    PLANET_FEATURES,
    CubeScaling,
    SeasonFeatures,
    check_seasons,
    sample_season,
)
from astrobio.models.unet3d import UNet3d, UNet3dConfig
from astrobio.registry import ModelCard, register_model

DIFFUSED_VARIABLES = ("air_temperature_k",)
_LONGEST_PERIOD = 10_000.0  # of the embedding of a step, Vaswani et al. 2017


@dataclass(frozen=True)
class ClimateDiffusionConfig(UNet3dConfig):
    """Settings of `ClimateDiffusion`.

    Attributes:
        channels: features at every resolution, from the finest; this and the others as in `UNet3dConfig`.
        condition_dim: size of the embedding of planet, season and step.
        step_features: size of the sinusoidal embedding of a step, even.
        num_steps: steps of the noising process.

    Raises:
        ValueError: a setting is out of range.
    """

    channels: tuple[int, ...] = (8, 16)
    step_features: int = 16
    num_steps: int = 1000

    def __post_init__(self) -> None:
        """Refuse settings that describe no model."""
        if self.step_features < 2 or self.step_features % 2:
            raise ValueError(f"step_features must be a positive even number, got {self.step_features}")
        if self.num_steps < 2:
            raise ValueError(f"num_steps must be at least 2, got {self.num_steps}")
        super().__post_init__()


class Denoising(NamedTuple):
    """What a training pass gives.

    Attributes:
        velocity: predicted, (B, 1, 3 months, level, latitude, longitude), in units of the noise.
        target: the true one, of the same shape.
    """

    velocity: Tensor
    target: Tensor


def cosine_signal(num_steps: int) -> Tensor:
    """The share a_t^2 of the signal after each of `num_steps` steps (Nichol & Dhariwal 2021): (num_steps,), float64.

    It falls from nearly 1 to nearly 0; a step takes at most 99.9 % of what was left.
    """
    offset = 0.008  # of that paper
    time = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    share = ((time + offset) / (1 + offset) * (math.pi / 2)).cos() ** 2
    kept = (share[1:] / share[:-1]).clamp(min=1e-3)
    return kept.cumprod(dim=0)


def sample_inputs(batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Keyword arguments of `ClimateDiffusion.forward` for a few simulated planets and random noise."""
    planets, cube, first_month = sample_season(batch_size, generator)
    return {
        "cube": cube[:, :1],
        "noise": torch.randn(cube[:, :1].shape, generator=generator),
        "step": torch.randint(ClimateDiffusionConfig.num_steps, (batch_size,), generator=generator),
        "planet_parameters": planets.parameters.float(),
        "first_month": first_month,
    }


def denoising_loss(output: Denoising) -> Tensor:
    """Mean squared error of the velocity, a scalar."""
    return (output.velocity - output.target).square().mean()


_CUBE_CARD = "(B, 1 variable; 3 months; 8 levels of equal mass from the ground up; 12 latitudes; 24 longitudes)"
_CARD = ModelCard(
    task="Seasons of air temperature that a planet may have, given its parameters, whatever its continents",
    inputs={
        "cube": f"{_CUBE_CARD}, air temperature",
        "noise": f"{_CUBE_CARD}, standard normal",
        "step": "(B,), int64, 0 to 999, from the least noise to the most",
        "planet_parameters": f"(B, {len(PARAMETER_NAMES)}), columns: {', '.join(PARAMETER_NAMES)}",
        "first_month": "(B,), int64, first of the three months, 0 begins at the northern vernal equinox",
    },
    outputs={"velocity": f"{_CUBE_CARD}, predicted", "target": f"{_CUBE_CARD}, the true one"},
    units={
        "cube": "K",
        "noise": "1",
        "step": "1",
        "velocity": "1",
        "target": "1",
        "first_month": "twelfth of a year",
        **PARAMETER_UNITS,
    },
    license="Apache-2.0",
    limits=(
        "It imitates an energy-balance model with grey columns of air, without clouds, winds or weather.",
        "Outside the sampling ranges of astrobio.data.cubes its samples are extrapolation, and values are not checked.",
        "Samples differ by continents as astrobio.data.land draws them, with up to 0.6 of the surface land.",
        "Samples are not exact solutions: no budget is closed by construction.",
        "Near the fold between warm and frozen climates a sample may show the other of the two.",
    ),
    references=(
        "Ho, Jain & Abbeel 2020, Denoising diffusion probabilistic models",
        "Song, Meng & Ermon 2021, Denoising diffusion implicit models",
        "Nichol & Dhariwal 2021, Improved denoising diffusion probabilistic models",
        "Salimans & Ho 2022, Progressive distillation for fast sampling of diffusion models",
        "North, Mengel & Short 1983, Simple energy balance model resolving the seasons and the continents, "
        "Journal of Geophysical Research 88",
    ),
    columns={"planet_parameters": PARAMETER_NAMES},
    ranges={**CUBE_SAMPLING_RANGES, "first_month": (0, NUM_MONTHS - 1), "step": (0, 999)},
)


def _sample_loss(output: Denoising, inputs: dict[str, Tensor]) -> Tensor:
    return denoising_loss(output)


@register_model(
    "climate_diffusion_base",
    config=ClimateDiffusionConfig(channels=(16, 32, 64), condition_dim=64, num_heads=4),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=_sample_loss,
)
@register_model(
    "climate_diffusion_small",
    config=ClimateDiffusionConfig(),
    card=_CARD,
    sample_inputs=sample_inputs,
    loss=_sample_loss,
)
class ClimateDiffusion(nn.Module):
    """Draws seasons of air temperature for a planet whose continents are not known."""

    signal: Tensor
    step_frequency: Tensor

    def __init__(self, config: ClimateDiffusionConfig) -> None:
        """Build the model that `config` describes."""
        super().__init__()
        self.config = config
        self.scaling = CubeScaling(DIFFUSED_VARIABLES)
        self.features = SeasonFeatures(num_months=MONTHS_PER_SEASON)
        self.condition = nn.Sequential(
            nn.Linear(PLANET_FEATURES + config.step_features, config.condition_dim),
            nn.SiLU(),
            nn.Linear(config.condition_dim, config.condition_dim),
            nn.SiLU(),
        )
        self.network = UNet3d(
            config,
            in_channels=MONTHS_PER_SEASON + self.features.num_fields,
            out_channels=MONTHS_PER_SEASON,
        )
        self.register_buffer("signal", cosine_signal(config.num_steps).float())
        exponent = torch.arange(config.step_features // 2) / (config.step_features // 2)
        self.register_buffer("step_frequency", _LONGEST_PERIOD**-exponent)

    def forward(
        self, cube: Tensor, noise: Tensor, step: Tensor, planet_parameters: Tensor, first_month: Tensor
    ) -> Denoising:
        """One training pass: add noise to seasons, and predict the velocity.

        Args:
            cube: (B, 1, 3 months, level, latitude, longitude), air temperature in K.
            noise: of the same shape, standard normal.
            step: (B,), int64, in [0, num_steps).
            planet_parameters: (B, 7), columns `PARAMETER_NAMES` in their physical units; values are not checked.
            first_month: (B,), int64, the first of the three months, counted from the northern vernal equinox.

        Returns:
            The predicted and the true velocity.

        Raises:
            TypeError: the months or steps are not int64.
            ValueError: a shape does not fit.
        """
        check_seasons(cube, planet_parameters, first_month, num_variables=len(DIFFUSED_VARIABLES))
        if noise.shape != cube.shape:
            raise ValueError(f"noise must have the shape of the cubes, got {tuple(noise.shape)}, {tuple(cube.shape)}")
        _check_step(step, first_month)
        season = self.scaling.to_unit(cube)
        signal_share, noise_share = self._shares(step)
        noisy = signal_share * season + noise_share * noise
        velocity = self.velocity(noisy, step, planet_parameters, first_month)
        return Denoising(velocity=velocity, target=signal_share * noise - noise_share * season)

    def velocity(self, noisy: Tensor, step: Tensor, planet_parameters: Tensor, first_month: Tensor) -> Tensor:
        """The predicted velocity of noisy seasons, in units of the noise; arguments and errors as in `forward`."""
        check_seasons(noisy, planet_parameters, first_month, num_variables=len(DIFFUSED_VARIABLES))
        _check_step(step, first_month)
        dtype = self.network.lift.weight.dtype
        angle = step[:, None] * self.step_frequency
        planet = self.features.vector(planet_parameters, first_month)
        condition = self.condition(torch.cat((planet, angle.sin(), angle.cos()), dim=1).to(dtype))
        fields = self.features.fields(planet_parameters, first_month)
        stacked = torch.cat((noisy.flatten(1, 2).to(fields.dtype), fields), dim=1).to(dtype)
        velocity: Tensor = self.network(stacked, condition).view(noisy.shape)
        return velocity.to(torch.promote_types(dtype, torch.float32))

    @torch.no_grad()
    def sample(
        self,
        planet_parameters: Tensor,
        first_month: Tensor,
        *,
        generator: torch.Generator,
        num_steps: int = 50,
        eta: float = 0.0,
    ) -> Tensor:
        """Draw one season for every planet.

        Args:
            planet_parameters: (B, 7), columns `PARAMETER_NAMES` in their physical units.
            first_month: (B,), int64, the first of the three months.
            generator: of the noise, on the CPU.
            num_steps: of the steps of the noising process, evenly chosen, to go back through.
            eta: noise that is added on the way, from 0 (DDIM, deterministic) to 1 (DDPM).

        Returns:
            (B, 1, 3 months, level, latitude, longitude), air temperature in K, in float32 or better.

        Raises:
            ValueError: a number of steps or an eta out of range, or a shape that does not fit.
        """
        if not 1 <= num_steps <= self.config.num_steps:
            raise ValueError(f"num_steps must be between 1 and {self.config.num_steps}, got {num_steps}")
        if not 0.0 <= eta <= 1.0:
            raise ValueError(f"eta must be in [0, 1], got {eta}")
        shape = (len(first_month), len(DIFFUSED_VARIABLES), *CUBE_SHAPE[1:])
        noisy = self._drawn(shape, generator)
        steps = torch.linspace(self.config.num_steps - 1, 0, num_steps).round().long().tolist()
        for step, next_step in zip(steps, [*steps[1:], None], strict=True):
            at_step = torch.full_like(first_month, step)
            velocity = self.velocity(noisy, at_step, planet_parameters, first_month)
            signal_share, noise_share = self._shares(at_step)
            season, noise = signal_share * noisy - noise_share * velocity, noise_share * noisy + signal_share * velocity
            if next_step is None:
                return self.scaling.to_physical(season)
            next_signal, next_noise = self._shares(torch.full_like(first_month, next_step))
            # Equation 16 of Song et al. 2021.
            fresh = eta * next_noise / noise_share * (1 - (signal_share / next_signal).square()).clamp(min=0.0).sqrt()
            noisy = next_signal * season + (next_noise.square() - fresh.square()).clamp(min=0.0).sqrt() * noise
            if eta > 0.0:
                noisy = noisy + fresh * self._drawn(shape, generator)
        raise AssertionError("the last step returns")

    def _drawn(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=generator).to(self.signal.device)

    def _shares(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """(a_t, s_t) of every sample, to be multiplied with cubes."""
        signal = self.signal[step][:, None, None, None, None, None]
        return signal.sqrt(), (1 - signal).sqrt()


def _check_step(step: Tensor, first_month: Tensor) -> None:
    if step.dtype != torch.int64:
        raise TypeError(f"step must be int64, got {step.dtype}")
    if step.shape != first_month.shape:
        raise ValueError(f"step must be (B,) like the cubes, got {tuple(step.shape)}")
