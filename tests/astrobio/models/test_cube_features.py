import pytest
import torch

from astrobio.data.cubes import CUBE_SAMPLING_RANGES, monthly_insolation
from astrobio.data.planets import PARAMETER_NAMES, PlanetParameters, earth
from astrobio.models.cube_features import (
    PLANET_FEATURES,
    CubeScaling,
    SeasonFeatures,
    check_seasons,
    example_planets,
    sample_season,
)


def earth_table() -> torch.Tensor:
    return earth().to_tensor().float()


def test_scaling_back_gives_the_cube() -> None:
    scaling, cube = CubeScaling(), example_planets().cubes
    back = scaling.to_physical(scaling.to_unit(cube))
    # Logarithms down to -22 in float32 lose 22 eps of the value; temperatures near 300 K a few eps.
    assert ((back - cube) / cube).abs().max() < 40 * torch.finfo(torch.float32).eps


def test_scaled_cubes_are_of_order_one() -> None:
    unit = CubeScaling().to_unit(example_planets().cubes)
    spread = unit.std(dim=(0, 2, 4, 5))  # (variable, level)
    assert spread.min() > 0.4
    assert spread.max() < 2.5
    assert unit.abs().max() < 8


def test_some_variables_are_scaled_as_they_are_among_all() -> None:
    cube = example_planets().cubes[:2]
    chosen = CubeScaling(("net_infrared_w_m2", "specific_humidity")).to_unit(cube[:, [2, 1]])
    assert torch.equal(chosen, CubeScaling().to_unit(cube)[:, [2, 1]])


def test_sampling_ranges_are_scaled_to_minus_one_and_one() -> None:
    low, high = torch.tensor([CUBE_SAMPLING_RANGES[name] for name in PARAMETER_NAMES]).T
    vector = SeasonFeatures(num_months=3).vector(torch.stack((low, high)), torch.tensor([0, 3]))
    assert vector.shape == (2, PLANET_FEATURES)
    assert (vector[:, :6] - torch.tensor([[-1.0], [1.0]])).abs().max() <= 32 * torch.finfo(torch.float32).eps
    # Sines of perihelion and month, then cosines: perihelion at 0 and 360 degrees, months 0 and 3.
    assert (vector[:, 6:] - torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]])).abs().max() < 1e-5


def test_insolation_fields_are_those_of_the_months_that_follow() -> None:
    features = SeasonFeatures(num_months=3)
    fields = features.fields(earth_table(), torch.tensor([11]))
    assert fields.shape == (1, features.num_fields, 8, 12, 24)
    monthly = monthly_insolation(PlanetParameters.from_tensor(earth_table()))[0, [11, 0, 1]]
    expected = monthly / features.insolation_scale - 1.0
    assert torch.allclose(fields[0, :3, 5, :, 7], expected, atol=1e-6)


def test_samples_are_drawn_by_their_generator() -> None:
    drawn = [sample_season(4, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][1], drawn[2][1])


def test_cubes_that_do_not_fit_are_an_error() -> None:
    cube, planets, month = torch.zeros(2, 3, 3, 8, 12, 24), torch.zeros(2, 7), torch.zeros(2, dtype=torch.int64)
    check_seasons(cube, planets, month, num_variables=3)
    with pytest.raises(ValueError, match=r"cubes must be \(B, variable, month"):
        check_seasons(cube[..., :-1], planets, month, num_variables=3)
    with pytest.raises(ValueError, match=r"cubes must be \(B, variable, month"):
        check_seasons(cube, planets, month, num_variables=1)
    with pytest.raises(TypeError, match="first_month must be int64"):
        check_seasons(cube, planets, month.float(), num_variables=3)
    with pytest.raises(ValueError, match="2 cubes need as many planets and months"):
        check_seasons(cube, planets, month[:1], num_variables=3)
