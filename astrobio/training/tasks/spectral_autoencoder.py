"""Abundances from the noisy spectra of planets that were not trained on."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from astrobio.data.gases import GASES
from astrobio.data.spectra_dataset import SpectraDataset, make_spectra_dataset, measure
from astrobio.data.transmission import height_from_depth
from astrobio.models.spectral_autoencoder import SpectralAutoencoder, SpectralAutoencoderConfig, spectral_loss
from astrobio.training.task import Batch, Preset, TrainingTask, step_generator

_NUM_HELD_OUT = 2000
_NUM_TRAINING = {"base": 40_000, "fast": 10_000}


class SpectralAutoencoderTask(TrainingTask):
    """Fits `SpectralAutoencoder` to simulated spectra with noise and scores it on other planets."""

    name = "spectral_autoencoder"
    model_name = "spectral_autoencoder_small"
    presets: Mapping[str, Preset] = {
        "base": Preset(steps=6000, batch_size=128, learning_rate=2e-3),
        "fast": Preset(steps=800, batch_size=64, learning_rate=2e-3),
    }

    @cached_property
    def datasets(self) -> tuple[SpectraDataset, SpectraDataset]:
        """(training, held-out) planets, drawn one after the other and so all different."""
        num_training = _NUM_TRAINING[self.preset_name]
        dataset = make_spectra_dataset(num_training + _NUM_HELD_OUT, self.seed)
        order = torch.arange(len(dataset))
        return dataset[order[:num_training]], dataset[order[num_training:]]

    def build_model(self) -> nn.Module:
        """A new `SpectralAutoencoder`."""
        return SpectralAutoencoder(SpectralAutoencoderConfig())

    def batch(self, step: int, batch_size: int) -> Batch:
        """Training planets drawn with replacement, measured anew at every step."""
        training, _ = self.datasets
        generator = step_generator(self.seed, step)
        return _batch(training[torch.randint(len(training), (batch_size,), generator=generator)], generator)

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """See `spectral_loss`."""
        output = model(depth=batch["depth"], noise=batch["noise"], properties=batch["properties"])
        return spectral_loss(output, batch["log10_abundance"], batch["height"])

    def evaluate(self, model: nn.Module) -> Mapping[str, float]:
        """Errors on held-out planets.

        `median_error_dex` is the median over all planets and gases of the absolute error of an abundance, and
        `median_error_dex_GAS` that of one gas; `baseline_median_error_dex` that of the median training abundance of
        each gas. `height_rmse` is the error of the reconstructed spectrum in scale heights against the truth without
        noise, `baseline_height_rmse` that of the measured spectrum itself.
        """
        training, held_out = self.datasets
        batch = _batch(held_out, torch.Generator().manual_seed(self.seed))
        device = next(model.parameters()).device
        output = model(**{name: batch[name].to(device) for name in ("depth", "noise", "properties")})
        error = (output.log10_abundance.cpu() - batch["log10_abundance"]).abs()
        guess = training.planets.log10_abundance.float().median(dim=0).values
        measured, _ = height_from_depth(batch["depth"], batch["properties"])
        return {
            "num_held_out": float(len(held_out)),
            "median_error_dex": float(error.median()),
            **{f"median_error_dex_{gas}": float(error[:, i].median()) for i, gas in enumerate(GASES)},
            "baseline_median_error_dex": float((guess - batch["log10_abundance"]).abs().median()),
            "height_rmse": float((output.height.cpu() - batch["height"]).square().mean().sqrt()),
            "baseline_height_rmse": float((measured - batch["height"]).square().mean().sqrt()),
        }


def _batch(dataset: SpectraDataset, generator: torch.Generator) -> dict[str, Tensor]:
    measured = measure(dataset.depth, generator)
    height, _ = height_from_depth(dataset.depth, dataset.planets.properties)
    return {
        "depth": measured.depth,
        "noise": measured.noise,
        "properties": dataset.planets.properties.float(),
        "log10_abundance": dataset.planets.log10_abundance.float(),
        "height": height.float(),
    }
