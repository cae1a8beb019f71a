import pytest
import torch
from torch import Tensor

from astrobio.data.planets import PARAMETER_NAMES
from astrobio.models.climate_diffusion import (
    ClimateDiffusion,
    ClimateDiffusionConfig,
    cosine_signal,
    denoising_loss,
    sample_inputs,
)
from astrobio.registry import create_model


def diffusion(seed: int = 0, **settings: object) -> ClimateDiffusion:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ClimateDiffusion(ClimateDiffusionConfig(**settings)).eval()


def some_inputs(batch_size: int = 2) -> dict[str, Tensor]:
    return sample_inputs(batch_size, torch.Generator().manual_seed(1))


def drawn(model: ClimateDiffusion, seed: int = 0, **settings: object) -> Tensor:
    inputs = some_inputs()
    generator = torch.Generator().manual_seed(seed)
    settings = {"num_steps": 4, **settings}
    return model.sample(inputs["planet_parameters"], inputs["first_month"], generator=generator, **settings)


class KnowsTheSeason(ClimateDiffusion):
    """A perfect denoiser of one season, given in units of the noise."""

    season: Tensor

    def velocity(self, noisy: Tensor, step: Tensor, planet_parameters: Tensor, first_month: Tensor) -> Tensor:
        signal_share, noise_share = self._shares(step)
        noise = (noisy - signal_share * self.season) / noise_share
        return signal_share * noise - noise_share * self.season


def test_the_signal_falls_from_nearly_one_to_nearly_nothing() -> None:
    signal = cosine_signal(1000)
    assert signal.shape == (1000,)
    assert (signal.diff() < 0).all()
    assert 0.999 < float(signal[0]) < 1.0
    assert 0.0 < float(signal[-1]) < 1e-6
    # Half of the time takes away half of the signal, but for the offset: cos^2(pi / 2 * 0.504) = 0.494.
    assert abs(float(signal[499]) - 0.494) < 1e-2


def test_the_target_is_the_derivative_of_the_noisy_season_along_the_circle() -> None:
    inputs, model = some_inputs(), diffusion()
    season = model.scaling.to_unit(inputs["cube"])
    signal = model.signal[inputs["step"]].view(-1, 1, 1, 1, 1, 1)
    target = model(**inputs).target
    noisy = signal.sqrt() * season + (1 - signal).sqrt() * inputs["noise"]
    # Both follow from the noisy season and the velocity, in float32.
    assert torch.allclose(signal.sqrt() * noisy - (1 - signal).sqrt() * target, season, atol=1e-5)
    assert torch.allclose((1 - signal).sqrt() * noisy + signal.sqrt() * target, inputs["noise"], atol=1e-5)


def test_every_parameter_gets_a_gradient() -> None:
    model, inputs = diffusion(), some_inputs()
    denoising_loss(model(**inputs)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


def test_the_network_sees_no_noise_but_through_the_noisy_season() -> None:
    inputs, model = some_inputs(1), diffusion()
    signal = model.signal[inputs["step"]]
    season = model.scaling.to_unit(inputs["cube"])
    noisy = signal.sqrt() * season + (1 - signal).sqrt() * inputs["noise"]
    alone = model.velocity(noisy, inputs["step"], inputs["planet_parameters"], inputs["first_month"])
    assert torch.allclose(alone, model(**inputs).velocity, atol=1e-5)


def test_sampling_without_noise_on_the_way_is_a_function_of_the_first_noise() -> None:
    model = diffusion()
    assert torch.equal(drawn(model), drawn(model))
    assert not torch.equal(drawn(model), drawn(model, seed=1))


def test_sampling_without_noise_on_the_way_draws_once() -> None:
    model, inputs = diffusion(), some_inputs()
    generator, once = (torch.Generator().manual_seed(0) for _ in range(2))
    model.sample(inputs["planet_parameters"], inputs["first_month"], generator=generator, num_steps=4)
    torch.randn(inputs["cube"].shape, generator=once)
    assert torch.equal(generator.get_state(), once.get_state())


def test_noise_on_the_way_changes_the_sample() -> None:
    model = diffusion()
    assert not torch.equal(drawn(model, eta=1.0), drawn(model))
    assert torch.equal(drawn(model, eta=1.0), drawn(model, eta=1.0))


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("num_steps", [1, 7, 50])
def test_a_perfect_denoiser_draws_the_season_itself(eta: float, num_steps: int) -> None:
    model = KnowsTheSeason(ClimateDiffusionConfig())
    cube = some_inputs()["cube"]
    model.season = model.scaling.to_unit(cube)
    # The noise is found by a division by its share, at least 0.006 in the last step, of float32 values of order 1.
    assert (drawn(model, num_steps=num_steps, eta=eta) - cube).abs().max() < 1e-2


def test_the_variance_on_the_way_is_that_of_the_noising_process() -> None:
    # A season of zeros: whatever eta, z_t has the variance 1 - signal of the step that is reached.
    class Spy(KnowsTheSeason):
        def velocity(self, noisy: Tensor, step: Tensor, planet_parameters: Tensor, first_month: Tensor) -> Tensor:
            seen.append((float(noisy.var()), 1 - float(self.signal[step[0]])))
            return super().velocity(noisy, step, planet_parameters, first_month)

    seen: list[tuple[float, float]] = []
    model = Spy(ClimateDiffusionConfig())
    model.season = torch.zeros(())
    drawn(model, num_steps=10, eta=1.0)
    drawn(model, num_steps=10, eta=0.5)
    assert len(seen) == 20
    # The variance of 13,824 values scatters by 1.2 %; five standard deviations.
    assert all(abs(found / expected - 1) < 0.06 for found, expected in seen)


@pytest.mark.parametrize("column", range(len(PARAMETER_NAMES)), ids=PARAMETER_NAMES)
def test_every_planet_parameter_changes_the_velocity(column: int) -> None:
    inputs, model = some_inputs(1), diffusion()
    changed = inputs["planet_parameters"].clone()
    changed[:, column] *= 0.7
    difference = model(**inputs).velocity - model(**{**inputs, "planet_parameters": changed}).velocity
    assert difference.abs().max() > 1e-5


def test_a_model_in_a_half_type_still_gives_float32() -> None:
    output = diffusion().bfloat16()(**some_inputs(1))
    assert output.velocity.dtype == torch.float32
    assert output.velocity.isfinite().all()


def test_small_is_small_and_base_is_larger() -> None:
    small, base = (create_model(f"climate_diffusion_{size}") for size in ("small", "base"))
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (small, base)]
    assert counts[0] < 100_000 < counts[1]


def test_inputs_that_do_not_fit_are_an_error() -> None:
    inputs, model = some_inputs(), diffusion()
    with pytest.raises(ValueError, match="noise must have the shape of the cubes"):
        model(**{**inputs, "noise": inputs["noise"][:1]})
    with pytest.raises(TypeError, match="step must be int64"):
        model(**{**inputs, "step": inputs["step"].float()})
    with pytest.raises(ValueError, match=r"cubes must be \(B, variable, month"):
        model(**{**inputs, "cube": inputs["cube"][:, :, :2], "noise": inputs["noise"][:, :, :2]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_steps": 0}, "num_steps must be between 1 and 1000, got 0"),
        ({"num_steps": 1001}, "num_steps must be between 1 and 1000, got 1001"),
        ({"eta": -0.1}, r"eta must be in \[0, 1\]"),
        ({"eta": 1.1}, r"eta must be in \[0, 1\]"),
    ],
)
def test_ways_back_that_do_not_exist_are_an_error(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drawn(diffusion(), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_features": 3}, "step_features must be a positive even number"),
        ({"num_steps": 1}, "num_steps must be at least 2"),
        ({"channels": (8,)}, "at least two resolutions"),
    ],
)
def test_settings_that_describe_no_model_are_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClimateDiffusionConfig(**settings)
