import pytest
import torch
from torch import Tensor

from astrobio.attention.backends import PORTABLE_BACKENDS
from astrobio.data.climate_dataset import SAMPLING_RANGES, ClimateDataset, make_climate_dataset
from astrobio.data.planets import PARAMETER_NAMES, earth
from astrobio.models.climate_surrogate import (
    ClimateSurrogate,
    ClimateSurrogateConfig,
    climate_surrogate_loss,
    energy_balance_loss,
    sample_inputs,
)


def surrogate(seed: int = 0, **settings: object) -> ClimateSurrogate:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ClimateSurrogate(ClimateSurrogateConfig(**settings))


def some_planets(batch_size: int = 5) -> Tensor:
    return sample_inputs(batch_size, torch.Generator().manual_seed(1))["planet_parameters"]


@pytest.fixture(scope="module")
def simulated() -> ClimateDataset:
    return make_climate_dataset(4, seed=4)


def test_the_output_is_a_cycle_of_temperatures_in_kelvin() -> None:
    temperature = surrogate()(some_planets())
    assert temperature.shape == (5, 48, 24)
    assert temperature.dtype == torch.float32
    # An untrained network starts around the centre of the sampled climates, a few scales of 27 K wide.
    assert temperature.min() > 150
    assert temperature.max() < 400


def test_other_resolutions_give_other_shapes() -> None:
    assert surrogate(num_times=12, num_latitudes=10)(some_planets(3)).shape == (3, 12, 10)


def test_the_same_seed_gives_the_same_model_and_another_seed_does_not() -> None:
    planets = some_planets()
    assert torch.equal(surrogate()(planets), surrogate()(planets))
    assert not torch.equal(surrogate()(planets), surrogate(seed=1)(planets))


@pytest.mark.parametrize("column", range(len(PARAMETER_NAMES)), ids=PARAMETER_NAMES)
def test_every_planet_parameter_changes_the_prediction(column: int) -> None:
    low, high = SAMPLING_RANGES[PARAMETER_NAMES[column]]
    planets = some_planets(1).repeat(2, 1)
    planets[:, column] = torch.tensor([0.9 * low + 0.1 * high, 0.5 * (low + high)])
    first, second = surrogate()(planets)
    # float32 rounds temperatures near 300 K to 3e-5 K.
    assert (first - second).abs().max() > 0.01


def test_a_planet_is_predicted_alike_alone_and_in_a_batch() -> None:
    model, planets = surrogate().double(), some_planets().double()
    # Outputs near 300 K, rounded in float64 through three blocks with sums of at most 128 terms.
    bound = 300 * 3 * 128 * torch.finfo(torch.float64).eps
    assert (model(planets)[2] - model(planets[2:3])[0]).abs().max() <= bound


def test_attention_backends_predict_alike() -> None:
    planets = some_planets().double()
    first, second = (surrogate(backend=name).double()(planets) for name in PORTABLE_BACKENDS)
    assert (first - second).abs().max() <= 300 * 3 * 128 * torch.finfo(torch.float64).eps


def test_perihelion_at_0_and_at_360_degrees_is_the_same_planet() -> None:
    planets = some_planets(1).double().repeat(2, 1)
    planets[:, PARAMETER_NAMES.index("perihelion_longitude_deg")] = torch.tensor([0.0, 360.0], dtype=torch.float64)
    first, second = surrogate().double()(planets)
    assert (first - second).abs().max() <= 300 * 3 * 128 * torch.finfo(torch.float64).eps


@pytest.mark.parametrize("loss", ["data", "energy"])
def test_every_parameter_gets_a_gradient(loss: str) -> None:
    model, planets = surrogate(), some_planets()
    output = model(planets)
    if loss == "data":
        climate_surrogate_loss(output, torch.full_like(output, 288.0), planets, energy_weight=0.0).backward()
    else:
        energy_balance_loss(output, planets).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


def test_gradients_with_respect_to_the_planet_are_finite() -> None:
    planets = earth().to_tensor().float().requires_grad_()
    surrogate()(planets).sum().backward()
    assert planets.grad is not None
    assert planets.grad.isfinite().all()
    assert (planets.grad != 0).all()


def test_the_state_dict_carries_weights_and_normalisation() -> None:
    model, other = surrogate(), surrogate(seed=1)
    buffers = {name for name, _ in model.named_buffers()}
    assert buffers <= set(model.state_dict())
    for buffer in other.buffers():
        buffer.zero_()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(some_planets()), model(some_planets()))


def test_sampling_ranges_are_scaled_to_minus_one_and_one() -> None:
    model = surrogate()
    low, high = torch.tensor(list(SAMPLING_RANGES.values())).unbind(dim=1)
    features = model._features(torch.stack((low, high)))
    scaled = features[:, 0, 48 : 48 + 6]
    expected = torch.tensor([-1.0, 1.0])[:, None].expand(2, 6)
    # Ranges up to 100 with a half range of at least 0.15 in float32, or logarithms below 10 over 2.3.
    assert (scaled - expected).abs().max() <= 16 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_a_half_type_still_returns_float32(dtype: torch.dtype) -> None:
    temperature = surrogate().to(dtype)(some_planets())
    assert temperature.dtype == torch.float32
    assert temperature.isfinite().all()


def test_dropout_acts_in_training_only() -> None:
    model, without, planets = surrogate(dropout_p=0.5), surrogate(), some_planets()
    assert torch.equal(model.eval()(planets), without(planets))
    assert not torch.equal(model.train()(planets), without(planets))


def test_a_simulated_cycle_has_no_energy_balance_loss(simulated: ClimateDataset) -> None:
    # Cap budgets of a converged cycle are below 1e-4 W/m2, and are divided by 2.09 W/m2/K * 27 K.
    assert energy_balance_loss(simulated.temperature_k, simulated.parameters) < (1e-4 / 50) ** 2


def test_a_warmer_cycle_loses_more_heat_than_it_absorbs(simulated: ClimateDataset) -> None:
    warmer = energy_balance_loss(simulated.temperature_k + 5.0, simulated.parameters)
    assert warmer > 100 * energy_balance_loss(simulated.temperature_k + 0.05, simulated.parameters)


def test_the_loss_adds_the_weighted_physics_to_the_squared_error(simulated: ClimateDataset) -> None:
    target, parameters = simulated.temperature_k, simulated.parameters
    prediction = target + 3.0
    data_only = climate_surrogate_loss(prediction, target, parameters, energy_weight=0.0)
    both = climate_surrogate_loss(prediction, target, parameters, energy_weight=0.5)
    physics = energy_balance_loss(prediction, parameters)
    assert physics > 0
    assert abs(float(both - data_only - 0.5 * physics)) <= 4 * torch.finfo(torch.float64).eps * float(both)
    assert climate_surrogate_loss(target, target, parameters, energy_weight=0.0) == 0


def test_a_prediction_and_target_of_different_shape_are_an_error() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        climate_surrogate_loss(torch.ones(2, 48, 24), torch.ones(2, 24, 48), some_planets(2))


def test_parameters_of_another_shape_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"planet parameters must be \(B, 7\)"):
        surrogate()(torch.ones(3, 6))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"feed_forward_dim": 0}, "feed_forward_dim must be at least 1"),
        ({"num_times": 4}, "num_times must be at least 8"),
        ({"num_latitudes": 1}, "num_latitudes must be at least 2"),
        ({"embed_dim": 30}, "embed_dim 30 is not a multiple of num_heads 4"),
        ({"backend": "flash"}, "unknown attention backend"),
    ],
)
def test_settings_that_describe_no_model_are_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClimateSurrogateConfig(**settings)
