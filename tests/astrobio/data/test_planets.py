import pytest
import torch

from astrobio.data.planets import PARAMETER_NAMES, PlanetParameters, earth


def test_a_table_and_its_planets_convert_both_ways() -> None:
    table = torch.rand(4, len(PARAMETER_NAMES), generator=torch.Generator().manual_seed(0))
    planets = PlanetParameters.from_tensor(table)
    assert torch.equal(planets.to_tensor(), table)
    assert torch.equal(planets.eccentricity, table[:, PARAMETER_NAMES.index("eccentricity")])


def test_earth_is_physical() -> None:
    earth().require_physical()


@pytest.mark.parametrize(
    ("name", "value", "physical_range"),
    [
        ("instellation", 0.0, r"\(0, inf\]"),
        ("instellation", float("nan"), r"\(0, inf\]"),
        ("instellation", float("inf"), r"\(0, inf\]"),
        ("obliquity_deg", -1.0, r"\[0, 90\]"),
        ("obliquity_deg", 91.0, r"\[0, 90\]"),
        ("eccentricity", -0.01, r"\[0, 0.5\]"),
        ("eccentricity", 1.0, r"\[0, 0.5\]"),
        ("perihelion_longitude_deg", 361.0, r"\[0, 360\]"),
        ("co2_ppm", 0.0, r"\(0, 1e\+06\]"),
        ("co2_ppm", 2e6, r"\(0, 1e\+06\]"),
        ("diffusivity", -0.1, r"\[0, inf\]"),
        ("mixed_layer_depth_m", 0.0, r"\(0, inf\]"),
    ],
)
def test_a_value_outside_its_range_is_an_error_that_names_planet_and_range(
    name: str, value: float, physical_range: str
) -> None:
    table = earth().to_tensor().repeat(3, 1)
    table[2, PARAMETER_NAMES.index(name)] = value
    with pytest.raises(ValueError, match=f"{name} of planet 2 is .*{physical_range}"):
        PlanetParameters.from_tensor(table).require_physical()


@pytest.mark.parametrize("shape", [(7,), (3, 6), (3, 7, 1)])
def test_a_table_of_another_shape_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"planet parameters must be \(B, 7\) with columns instellation, "):
        PlanetParameters.from_tensor(torch.ones(shape))


def test_integer_parameters_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="instellation must be floating point"):
        PlanetParameters.from_tensor(torch.ones(3, 7, dtype=torch.int64))


def test_columns_of_different_length_are_an_error() -> None:
    columns = [torch.ones(3) for _ in PARAMETER_NAMES]
    columns[4] = torch.ones(2)
    with pytest.raises(ValueError, match=r"co2_ppm must have shape \(B,\)"):
        PlanetParameters(*columns)
