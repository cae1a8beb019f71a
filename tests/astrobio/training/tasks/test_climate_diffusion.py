from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from astrobio.data.cubes import CubeDataset, make_cube_dataset
from astrobio.models.climate_diffusion import ClimateDiffusion, ClimateDiffusionConfig
from astrobio.training.tasks import create_task
from astrobio.training.tasks.climate_diffusion import ClimateDiffusionTask, denoising_figures, sample_figures
from astrobio.training.trainer import fit


@pytest.fixture(scope="module")
def planets() -> CubeDataset:
    return make_cube_dataset(5, seed=2)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, planets: CubeDataset) -> ClimateDiffusionTask:
    monkeypatch.setattr("astrobio.training.tasks.season_task.make_cube_dataset", lambda n, seed: planets)
    monkeypatch.setattr("astrobio.training.tasks.climate_diffusion._ENSEMBLE", {"fast": (1, 2, 2)})
    return ClimateDiffusionTask("fast", seed=3)


class KnowsThePlanets(ClimateDiffusion):
    """Finds every season exactly, by looking it up by the planet and the month."""

    planets: CubeDataset

    def velocity(self, noisy: Tensor, step: Tensor, planet_parameters: Tensor, first_month: Tensor) -> Tensor:
        found = (self.planets.parameters.float()[None] == planet_parameters[:, None]).all(dim=-1).int().argmax(dim=1)
        months = (first_month[:, None] + torch.arange(3)) % 12
        season = torch.stack([self.planets.cubes[i, :1, m] for i, m in zip(found, months, strict=True)])
        season = self.scaling.to_unit(season)
        signal_share, noise_share = self._shares(step)
        return signal_share * (noisy - signal_share * season) / noise_share - noise_share * season


def test_the_task_is_known_by_its_name() -> None:
    assert isinstance(create_task("climate_diffusion", "fast"), ClimateDiffusionTask)


def test_no_planet_is_both_learned_from_and_measured_on(task: ClimateDiffusionTask) -> None:
    assert (len(task.train), len(task.held_out)) == (4, 1)
    assert len(torch.cat((task.train.parameters, task.held_out.parameters)).unique(dim=0)) == 5


def test_samples_are_compared_for_held_out_planets_with_other_continents(task: ClimateDiffusionTask) -> None:
    assert torch.equal(task.ensemble.parameters, task.held_out.parameters.expand(2, -1))
    assert not torch.equal(task.ensemble.land[0], task.ensemble.land[1])
    assert not torch.equal(task.ensemble.land[0], task.held_out.land[0])


def test_a_batch_is_a_function_of_seed_step_and_size(task: ClimateDiffusionTask) -> None:
    first, again, later = task.batch(5, 4), task.batch(5, 4), task.batch(6, 4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["noise"], later["noise"])
    learned = set(task.train.parameters[:, 0].float().tolist())
    assert set(task.batch(0, 64)["planet_parameters"][:, 0].tolist()) == learned


def test_a_model_that_knows_the_planets_has_no_loss(planets: CubeDataset) -> None:
    model = KnowsThePlanets(ClimateDiffusionConfig()).eval()
    model.planets = planets
    figures = denoising_figures(model, planets[torch.arange(3)], planets, torch.Generator().manual_seed(0))
    assert figures["loss"] < 1e-6
    assert figures["baseline_loss"] > 0.3


def test_the_baseline_is_the_best_that_one_can_say_of_a_single_planet(planets: CubeDataset) -> None:
    # Of one planet whose months are all alike, the mean is the season, and what is left is the noise a_t e.
    cubes = planets.cubes[:1, :, :1].mean(dim=(4, 5), keepdim=True).expand(-1, -1, 12, -1, 12, 24)
    alike = CubeDataset(parameters=planets.parameters[:1], land=planets.land[:1], cubes=cubes)
    model = ClimateDiffusion(ClimateDiffusionConfig()).eval()
    many = alike[torch.zeros(16, dtype=torch.int64)]
    figures = denoising_figures(model, alike, many, torch.Generator().manual_seed(0))
    # The mean over steps of a_t^2, 0.5 for the cosine schedule, of 64 random steps: 0.5 +- 0.35 / 8.
    assert figures["baseline_loss"] == pytest.approx(0.5, abs=0.18)


def test_samples_that_are_the_simulations_have_no_error_and_their_spread() -> None:
    simulated = 280 + torch.randn(6, 1, 3, 2, 4, 8, generator=torch.Generator().manual_seed(0))
    figures = sample_figures(simulated, simulated, torch.full_like(simulated, 250.0), num_planets=2)
    assert figures["profile_rmse_k"] == figures["zonal_rmse_k"] == 0.0
    assert figures["baseline_profile_rmse_k"] == pytest.approx(30.0, abs=0.5)
    assert figures["spread_k"] == figures["spread_simulated_k"] == pytest.approx(1.0, abs=0.15)


def test_errors_and_spread_of_samples_are_those_put_in() -> None:
    simulated = torch.full((6, 1, 3, 2, 4, 8), 280.0)
    samples = simulated + 2.0
    samples[::3] += 3.0  # one of three continents of each planet
    figures = sample_figures(samples, simulated, simulated, num_planets=2)
    assert figures["profile_rmse_k"] == pytest.approx(3.0)
    assert figures["zonal_rmse_k"] == pytest.approx(3.0)
    # Of 24 values 8 are 3 higher: a variance of 9 * (1/3) * (2/3) * 24 / 23.
    assert figures["spread_k"] == pytest.approx((2.0 * 24 / 23) ** 0.5)
    assert figures["spread_simulated_k"] == 0.0


def test_a_model_of_another_kind_draws_no_samples(task: ClimateDiffusionTask) -> None:
    with pytest.raises(TypeError, match="samples are drawn from a ClimateDiffusion, not from a Linear"):
        task.evaluate(nn.Linear(1, 1))


def test_an_evaluation_gives_the_same_figures_twice(task: ClimateDiffusionTask) -> None:
    model = task.build_model().eval()
    with torch.no_grad():
        assert task.evaluate(model) == task.evaluate(model)


@pytest.mark.slow
def test_the_fast_preset_denoises_and_samples_unseen_planets(tmp_path: Path) -> None:
    _, figures = fit(create_task("climate_diffusion", "fast"), output=tmp_path / "run")
    assert figures["num_planets"] == 16
    # Measured with seeds 0 and 1: 0.08 of the baseline's loss both times, and 0.06 and 0.42 of its error of the mean
    # profile, which a single one of six planets makes large: it is frozen at 230 K, and drawn at 237 to 266 K. A model
    # that has learned nothing is at or above its baselines.
    assert figures["loss"] < 0.25 * figures["baseline_loss"]
    assert figures["profile_rmse_k"] < 0.7 * figures["baseline_profile_rmse_k"]
    assert figures["zonal_rmse_k"] < 0.7 * figures["baseline_zonal_rmse_k"]
