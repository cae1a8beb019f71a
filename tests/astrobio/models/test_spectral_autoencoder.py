import pytest
import torch
from torch import Tensor

from astrobio import create_model, model_card
from astrobio.data.spectra_dataset import make_spectra_dataset
from astrobio.data.transmission import height_from_depth
from astrobio.models.spectral_autoencoder import (
    SpectralAutoencoder,
    SpectralAutoencoderConfig,
    SpectralOutput,
    reconstruction_loss,
    sample_inputs,
    spectral_loss,
)


@pytest.fixture
def model() -> SpectralAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SpectralAutoencoder(SpectralAutoencoderConfig()).eval()


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    return sample_inputs(5, torch.Generator().manual_seed(0))


def test_shapes(model: SpectralAutoencoder, inputs: dict[str, Tensor]) -> None:
    output = model(**inputs)
    assert output.log10_abundance.shape == (5, 5)
    assert output.height.shape == (5, 208)


def test_a_spectrum_is_judged_as_if_it_were_alone(model: SpectralAutoencoder, inputs: dict[str, Tensor]) -> None:
    model, inputs = model.double(), {name: tensor.double() for name, tensor in inputs.items()}
    whole = model(**inputs)
    for row in range(5):
        alone = model(**{name: tensor[row : row + 1] for name, tensor in inputs.items()})
        torch.testing.assert_close(alone.log10_abundance[0], whole.log10_abundance[row], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(alone.height[0], whole.height[row], rtol=1e-10, atol=1e-12)


def test_every_part_of_the_input_matters(model: SpectralAutoencoder, inputs: dict[str, Tensor]) -> None:
    before = model(**inputs).log10_abundance
    changes = {"depth": 1.0 + 1e-3, "noise": 3.0, "properties": 1.05}
    for name, factor in changes.items():
        after = model(**{**inputs, name: inputs[name] * factor}).log10_abundance
        assert (after - before).abs().max() > 1e-4, name


def test_patches_are_told_apart(model: SpectralAutoencoder, inputs: dict[str, Tensor]) -> None:
    mirrored = {**inputs, "depth": inputs["depth"].flip(1)}
    assert (model(**mirrored).log10_abundance - model(**inputs).log10_abundance).abs().max() > 1e-3


def test_a_half_type_answers_in_float32(model: SpectralAutoencoder, inputs: dict[str, Tensor]) -> None:
    single = model(**inputs)
    half = model.bfloat16()(**inputs)
    assert half.log10_abundance.dtype == half.height.dtype == torch.float32
    # Heights are computed before they are rounded to bfloat16: eight bits of the spread, through a few layers.
    assert (half.log10_abundance - single.log10_abundance).abs().max() < 0.2


def test_the_registered_loss_is_zero_for_the_measured_spectrum(inputs: dict[str, Tensor]) -> None:
    height, _ = height_from_depth(inputs["depth"], inputs["properties"])
    right = SpectralOutput(torch.zeros(5, 5), height)
    assert reconstruction_loss(right, inputs) == 0.0
    assert reconstruction_loss(right._replace(height=height + 4.0), inputs) == pytest.approx(1.0)


def test_the_training_loss_adds_its_parts() -> None:
    dataset = make_spectra_dataset(3, 0)
    truth = dataset.planets.log10_abundance
    height = torch.zeros(3, 208, dtype=torch.float64)
    losses = spectral_loss(SpectralOutput(truth + 0.5, height + 2.0), truth, height)
    assert losses["abundance"] == pytest.approx(0.5)
    assert losses["spectrum"] == pytest.approx(0.25)
    assert losses["loss"] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("name", "change", "kind", "message"),
    [
        ("depth", lambda tensor: tensor.long(), TypeError, "depth must be floating point"),
        ("depth", lambda tensor: tensor[:, :-1], ValueError, r"depth must be \(B, 208\)"),
        ("noise", lambda tensor: tensor[:, 0], ValueError, r"noise must be \(B, 1\)"),
        ("properties", lambda tensor: tensor[:2], ValueError, r"properties must be \(B, 4\)"),
    ],
)
def test_wrong_inputs_are_named(
    model: SpectralAutoencoder,
    inputs: dict[str, Tensor],
    name: str,
    change: object,
    kind: type[Exception],
    message: str,
) -> None:
    assert callable(change)
    with pytest.raises(kind, match=message):
        model(**{**inputs, name: change(inputs[name])})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_layers": 0}, "num_layers must be"),
        ({"patch_size": 7}, "patch_size must divide the 208"),
        ({"free_latents": -1}, "free_latents must be"),
        ({"embed_dim": 30}, "not a multiple of num_heads"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpectralAutoencoderConfig(**setting)


def test_it_is_registered_with_a_card() -> None:
    small, base = create_model("spectral_autoencoder_small"), create_model("spectral_autoencoder_base")
    assert sum(weight.numel() for weight in small.parameters()) < 100_000
    assert sum(weight.numel() for weight in base.parameters()) > 200_000
    assert set(model_card("spectral_autoencoder_small").inputs) == set(sample_inputs(1, torch.Generator()))
