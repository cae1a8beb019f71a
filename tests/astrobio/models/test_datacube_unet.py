import pytest
import torch
from torch import Tensor

from astrobio.data.planets import PARAMETER_NAMES
from astrobio.models.cube_features import CubeScaling
from astrobio.models.datacube_unet import DatacubeUNet, DatacubeUNetConfig, cube_loss, sample_inputs
from astrobio.registry import create_model


def unet(seed: int = 0, **settings: object) -> DatacubeUNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DatacubeUNet(DatacubeUNetConfig(**settings))


def some_inputs(batch_size: int = 2) -> dict[str, Tensor]:
    return sample_inputs(batch_size, torch.Generator().manual_seed(1))


def in_double(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in inputs.items()}


def test_the_output_is_a_cube_in_physical_units_near_the_present_one() -> None:
    inputs = some_inputs()
    predicted = unet()(**inputs)
    assert predicted.shape == inputs["cube"].shape
    assert predicted.dtype == torch.float32
    # An untrained network changes what it is given by about one scale, 23 K.
    assert (predicted[:, 0] - inputs["cube"][:, 0]).abs().max() < 100
    assert (predicted[:, 1] > 0).all()


@pytest.mark.parametrize("turn", [2, 12])
def test_turning_the_planet_turns_the_prediction(turn: int) -> None:
    model, inputs = unet().double(), in_double(some_inputs())
    turned = {**inputs, "cube": inputs["cube"].roll(turn, -1), "land": inputs["land"].roll(turn, -1)}
    first, second = (model.scaling.to_unit(model(**given)) for given in (inputs, turned))
    # About ten layers of sums of up to 700 terms.
    assert (first.roll(turn, -1) - second).abs().max() <= 10 * 700 * torch.finfo(torch.float64).eps
    assert (first - second).abs().max() > 1e-3


def test_a_planet_is_predicted_alike_alone_and_in_a_batch() -> None:
    model, inputs = unet().double(), in_double(some_inputs(3))
    together = model.scaling.to_unit(model(**inputs))
    alone = model.scaling.to_unit(model(**{name: tensor[1:2] for name, tensor in inputs.items()}))
    assert (together[1:2] - alone).abs().max() <= 10 * 700 * torch.finfo(torch.float64).eps


@pytest.mark.parametrize("column", range(len(PARAMETER_NAMES)), ids=PARAMETER_NAMES)
def test_every_planet_parameter_changes_the_prediction(column: int) -> None:
    inputs, model = some_inputs(1), unet()
    changed = inputs["planet_parameters"].clone()
    changed[:, column] *= 0.7
    difference = model(**inputs) - model(**{**inputs, "planet_parameters": changed})
    assert difference[:, 0].abs().max() > 1e-3  # float32 rounds temperatures near 300 K to 3e-5 K


def test_continents_and_the_season_change_the_prediction() -> None:
    inputs, model = some_inputs(1), unet()
    base = model(**inputs)
    assert (model(**{**inputs, "land": ~inputs["land"]}) - base)[:, 0].abs().max() > 1e-3
    assert (model(**{**inputs, "first_month": inputs["first_month"] + 3}) - base)[:, 0].abs().max() > 1e-3


def test_months_are_counted_modulo_a_year() -> None:
    inputs, model = in_double(some_inputs(1)), unet().double()
    later = {**inputs, "first_month": inputs["first_month"] + 12}
    assert (model(**later) - model(**inputs))[:, 0].abs().max() < 1e-9


def test_every_parameter_gets_a_gradient() -> None:
    model, inputs = unet(), some_inputs()
    cube_loss(model(**inputs), inputs["cube"], model.scaling).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_a_half_type_still_returns_float32(dtype: torch.dtype) -> None:
    predicted = unet().to(dtype)(**some_inputs(1))
    assert predicted.dtype == torch.float32
    assert predicted.isfinite().all()


def test_the_state_dict_carries_weights_and_scaling() -> None:
    model, other, inputs = unet(), unet(seed=1), some_inputs(1)
    for buffer in other.buffers():
        buffer.zero_()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(**inputs), model(**inputs))


def test_small_is_small_and_base_is_larger() -> None:
    small, base = (create_model(f"datacube_unet_{size}") for size in ("small", "base"))
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (small, base)]
    assert counts[0] < 100_000 < counts[1]


def test_the_loss_weighs_a_scale_of_every_variable_alike() -> None:
    scaling, cube = CubeScaling(), some_inputs(1)["cube"]
    assert cube_loss(cube, cube, scaling) == 0
    warmer = cube.clone()
    warmer[:, 0] += scaling.scale[0]
    assert float(cube_loss(warmer, cube, scaling)) == pytest.approx(1 / 3, rel=1e-4)
    with pytest.raises(ValueError, match="differ in shape"):
        cube_loss(cube, cube[:, :2], scaling)


def test_inputs_that_do_not_fit_are_an_error() -> None:
    inputs, model = some_inputs(), unet()
    with pytest.raises(TypeError, match="land must be bool"):
        model(**{**inputs, "land": inputs["land"].float()})
    with pytest.raises(ValueError, match=r"land must be \(B, latitude, longitude\)"):
        model(**{**inputs, "land": inputs["land"][:1]})
    with pytest.raises(ValueError, match=r"planet parameters must be \(B, 7\)"):
        model(**{**inputs, "planet_parameters": inputs["planet_parameters"][:, :6]})


def test_settings_that_describe_no_model_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least two resolutions"):
        DatacubeUNetConfig(channels=(8,))
