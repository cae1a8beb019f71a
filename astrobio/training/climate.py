"""Fits the climate surrogate to the energy-balance model and measures it on planets it has not seen.

    python -m astrobio.training.climate --steps 1300 --planets 4000 --seed 0

Progress goes to stderr. The last lines, on stdout, are measured on held-out planets after the last step; nothing is
selected on them.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.data.climate_dataset import ClimateDataset, make_climate_dataset, split_by_planet
from astrobio.data.energy_balance import NUM_LATITUDES, NUM_TIMES
from astrobio.models.climate_surrogate import ClimateSurrogate, ClimateSurrogateConfig, climate_surrogate_loss

HELD_OUT_FRACTION = 0.2


@dataclass(frozen=True)
class FitSettings:
    """How to fit.

    Attributes:
        steps: optimiser steps.
        num_planets: planets to simulate, a fifth of which is held out.
        seed: of planets, split, initial weights and batches.
        batch_size: planets per step.
        learning_rate: peak of the schedule, a linear warm-up followed by a cosine to zero.
        weight_decay: of AdamW (Loshchilov & Hutter 2019).
        energy_weight: weight of the heat budget in the loss.

    Raises:
        ValueError: a setting is out of range.
    """

    steps: int
    num_planets: int
    seed: int
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    energy_weight: float = 0.1

    def __post_init__(self) -> None:
        """Refuse settings that describe no fit."""
        for name, smallest in (("steps", 1), ("num_planets", 10), ("batch_size", 1)):
            if getattr(self, name) < smallest:
                raise ValueError(f"{name} must be at least {smallest}, got {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be positive and finite, got {self.learning_rate}")
        for name in ("weight_decay", "energy_weight"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class HeldOutScore:
    """Errors on planets that were not trained on, over all times and latitudes.

    Attributes:
        num_planets: held-out planets.
        rmse_k: root mean squared error of the model, K.
        baseline_rmse_k: the same for predicting the mean training cycle, per time and latitude, for every planet.
        r_squared: 1 - squared error / squared deviation from the held-out mean, per time and latitude.
    """

    num_planets: int
    rmse_k: float
    baseline_rmse_k: float
    r_squared: float


def fit_climate_surrogate(
    settings: FitSettings,
    *,
    config: ClimateSurrogateConfig | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[ClimateSurrogate, HeldOutScore]:
    """Simulate planets, fit the surrogate to four fifths of them and score it on the rest.

    Args:
        settings: how to fit; the seed fixes everything that is random.
        config: the model; None means the defaults.
        report: receives lines of progress.

    Returns:
        The fitted model in evaluation mode, and its score.

    Raises:
        ValueError: the model's resolution is not that of the simulation.
        FloatingPointError: the loss, or the error on held-out planets, is not finite.
    """
    config = ClimateSurrogateConfig() if config is None else config
    if (config.num_times, config.num_latitudes) != (NUM_TIMES, NUM_LATITUDES):
        raise ValueError(
            f"planets are simulated at {NUM_TIMES} times and {NUM_LATITUDES} latitudes, "
            f"the model predicts {config.num_times} and {config.num_latitudes}"
        )
    started = time.perf_counter()
    dataset = make_climate_dataset(settings.num_planets, settings.seed)
    train, held_out = split_by_planet(dataset, held_out_fraction=HELD_OUT_FRACTION, seed=settings.seed)
    report(f"simulated {len(dataset)} planets in {time.perf_counter() - started:.1f} s")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = ClimateSurrogate(config)
        _optimise(model, train, settings, report)
    model.eval()
    score = score_on_held_out(model, train, held_out)
    if not math.isfinite(score.rmse_k):  # the last step may have broken the weights after its loss was checked
        raise FloatingPointError(f"the error on held-out planets is {score.rmse_k} K after step {settings.steps}")
    return model, score


@torch.no_grad()
def score_on_held_out(model: ClimateSurrogate, train: ClimateDataset, held_out: ClimateDataset) -> HeldOutScore:
    """Errors of the model, and of the mean training cycle, on the held-out planets."""
    target = held_out.temperature_k
    error = model(held_out.parameters.float()).double() - target
    baseline_error = train.temperature_k.mean(dim=0) - target
    deviation = target - target.mean(dim=0)
    return HeldOutScore(
        num_planets=len(held_out),
        rmse_k=float(error.square().mean().sqrt()),
        baseline_rmse_k=float(baseline_error.square().mean().sqrt()),
        r_squared=1.0 - float(error.square().sum() / deviation.square().sum()),
    )


def _optimise(
    model: ClimateSurrogate, train: ClimateDataset, settings: FitSettings, report: Callable[[str], None]
) -> None:
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _learning_rate_factor(step, settings.steps))
    generator = torch.Generator().manual_seed(settings.seed)
    parameters, target = train.parameters.float(), train.temperature_k.float()
    started = time.perf_counter()
    for step in range(1, settings.steps + 1):
        batch = torch.randint(len(train), (settings.batch_size,), generator=generator)
        prediction = model(parameters[batch])
        loss = climate_surrogate_loss(
            prediction, target[batch], parameters[batch], energy_weight=settings.energy_weight
        )
        _require_finite(loss, step)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        schedule.step()
        if step == settings.steps or step % max(1, settings.steps // 20) == 0:
            report(f"step {step}/{settings.steps}: loss {loss.item():.5f}, {time.perf_counter() - started:.1f} s")


def _learning_rate_factor(step: int, steps: int) -> float:
    warm_up = max(1, steps // 20)
    return min((step + 1) / warm_up, 0.5 * (1.0 + math.cos(math.pi * step / steps)))


def _require_finite(loss: Tensor, step: int) -> None:
    if not math.isfinite(loss.item()):
        raise FloatingPointError(
            f"the loss is {loss.item()} at step {step}; no weights were saved. Lower the learning rate, or look for "
            "planet parameters outside their physical range"
        )


def main(arguments: list[str] | None = None) -> int:
    """Run a fit from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m astrobio.training.climate", description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=1300, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--planets", type=int, default=4000, help="planets to simulate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        settings = FitSettings(steps=options.steps, num_planets=options.planets, seed=options.seed)
    except ValueError as error:
        parser.error(str(error))
    _, score = fit_climate_surrogate(settings, report=lambda line: print(line, file=sys.stderr, flush=True))
    print(f"held-out planets: {score.num_planets}")
    print(f"R^2: {score.r_squared:.4f}")
    print(f"RMSE: {score.rmse_k:.2f} K")
    print(f"RMSE of the mean training cycle: {score.baseline_rmse_k:.2f} K")
    return 0


if __name__ == "__main__":
    sys.exit(main())
