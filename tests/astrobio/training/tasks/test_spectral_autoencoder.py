import pytest
import torch
from torch import Tensor, nn

from astrobio.data.transmission import height_from_depth
from astrobio.models.spectral_autoencoder import SpectralOutput
from astrobio.training.tasks import create_task
from astrobio.training.tasks.spectral_autoencoder import SpectralAutoencoderTask
from astrobio.training.trainer import fit


@pytest.fixture(scope="module")
def task() -> SpectralAutoencoderTask:
    task = create_task("spectral_autoencoder", "fast", seed=1)
    assert isinstance(task, SpectralAutoencoderTask)
    return task


def test_no_planet_is_both_trained_on_and_held_out(task: SpectralAutoencoderTask) -> None:
    rows = [
        {tuple(row) for row in torch.cat((part.planets.properties, part.planets.log10_abundance), dim=1).tolist()}
        for part in task.datasets
    ]
    assert [len(part) for part in rows] == [10_000, 2_000]
    assert not rows[0] & rows[1]


def test_a_batch_depends_on_seed_and_step_alone(task: SpectralAutoencoderTask) -> None:
    first, again, next_one = task.batch(3, 4), task.batch(3, 4), task.batch(4, 4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["depth"], next_one["depth"])


class Parrot(nn.Module):
    """Says one abundance, and the measured spectrum."""

    def __init__(self, abundance: Tensor) -> None:
        super().__init__()
        self.abundance = nn.Parameter(abundance)

    def forward(self, depth: Tensor, noise: Tensor, properties: Tensor) -> SpectralOutput:
        height, _ = height_from_depth(depth, properties)
        return SpectralOutput(self.abundance.expand(len(depth), -1), height)


@torch.no_grad()
def test_the_baselines_are_what_they_are_said_to_be(task: SpectralAutoencoderTask) -> None:
    training, _ = task.datasets
    figures = task.evaluate(Parrot(training.planets.log10_abundance.float().median(dim=0).values))
    assert figures["median_error_dex"] == pytest.approx(figures["baseline_median_error_dex"])
    assert figures["height_rmse"] == pytest.approx(figures["baseline_height_rmse"])
    assert figures["num_held_out"] == 2000


@torch.no_grad()
def test_a_worse_guess_scores_worse(task: SpectralAutoencoderTask) -> None:
    assert task.evaluate(Parrot(torch.zeros(5)))["median_error_dex"] > 2.0


@pytest.mark.slow
def test_the_fast_preset_finds_abundances() -> None:
    _, figures = fit(create_task("spectral_autoencoder", "fast", seed=0))
    assert figures["median_error_dex"] < 0.3 < figures["baseline_median_error_dex"]
    assert figures["height_rmse"] < figures["baseline_height_rmse"]
