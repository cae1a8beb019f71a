from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from astrobio.data.archive_planets import ASSUMED_PARAMETERS, to_planet_parameters
from astrobio.data.exoplanet_archive import ExoplanetTable, load_exoplanet_archive
from astrobio.data.planets import PlanetParameters, earth

HEADER = "pl_name,pl_insol,pl_insollim,pl_orbeccen,pl_orbeccenlim,pl_orbsmax,st_lum,st_rad,st_teff\n"


@pytest.fixture
def planets(tmp_path: Path) -> Callable[..., ExoplanetTable]:
    def from_rows(*rows: str) -> ExoplanetTable:
        path = tmp_path / "planets.csv"
        path.write_text(HEADER + "\n".join(rows) + "\n")
        return load_exoplanet_archive(path)

    return from_rows


def test_published_values_are_taken_and_the_rest_is_that_of_earth(planets: Callable[..., ExoplanetTable]) -> None:
    converted = to_planet_parameters(planets("a,0.9,0,0.05,0,1.1,0.1,1.0,5772"))
    converted.parameters.require_physical()
    assert converted.names == ("a",)
    assert converted.parameters.instellation.tolist() == [0.9]
    assert converted.parameters.eccentricity.tolist() == [0.05]
    for name in ASSUMED_PARAMETERS:
        assert torch.equal(getattr(converted.parameters, name), getattr(earth(), name))
    assert not bool(converted.instellation_is_derived.any() | converted.eccentricity_is_assumed.any())


def test_the_light_of_the_sun_at_two_au_is_a_quarter(planets: Callable[..., ExoplanetTable]) -> None:
    table = planets("by luminosity,,,0,,2.0,0.0,,", "by radius,,,0,,2.0,,1.0,5772", "both,,,0,,1.0,1.0,1.0,5772")
    converted = to_planet_parameters(table)
    torch.testing.assert_close(
        converted.parameters.instellation, torch.tensor([0.25, 0.25, 10.0], dtype=torch.float64), rtol=1e-12, atol=0.0
    )
    assert converted.instellation_is_derived.tolist() == [True, True, True]


def test_a_limit_is_no_measurement(planets: Callable[..., ExoplanetTable]) -> None:
    converted = to_planet_parameters(planets("a,0.9,1,0.3,1,1.0,0.0,,", "b,0.9,0,0.3,0,1.0,0.0,,"))
    assert converted.parameters.instellation.tolist() == [1.0, 0.9]
    assert converted.parameters.eccentricity.tolist() == [0.0, 0.3]
    assert converted.eccentricity_is_assumed.tolist() == [True, False]


def test_planets_that_do_not_fit_are_left_out_by_name_and_reason(planets: Callable[..., ExoplanetTable]) -> None:
    table = planets("dark,,,0.1,,1.0,,,", "wild,1.0,,0.9,,,,,", "fits,1.0,,,,,,,")
    converted = to_planet_parameters(table)
    assert converted.names == ("fits",)
    assert converted.rows.tolist() == [2]
    assert converted.left_out == (
        ("dark", "no instellation: neither pl_insol nor what it could be computed from"),
        ("wild", "eccentricity 0.9 is above 0.5"),
    )


def test_what_is_assumed_is_said_with_its_values(planets: Callable[..., ExoplanetTable]) -> None:
    table = planets("a,1.0,,,,,,,", "b,,,0.1,,1.0,0.0,,")
    dry = earth().to_tensor()
    dry[0, 6] = 20.0
    said = to_planet_parameters(table, assumed=PlanetParameters.from_tensor(dry)).assumptions
    assert "mixed_layer_depth_m 20" in said[0]
    assert "obliquity_deg 23.446" in said[0]
    assert "1 of 2 planets, which have no measured eccentricity" in said[1]
    assert "for 1 of 2 planets" in said[2]


def test_no_planet_that_fits_is_an_error_with_what_to_ask_for(planets: Callable[..., ExoplanetTable]) -> None:
    with pytest.raises(ValueError, match=r"none of the 1 planets has an instellation .* ask the archive for pl_insol"):
        to_planet_parameters(planets("dark,,,0.1,,1.0,,,"))


def test_the_assumed_planet_is_one(planets: Callable[..., ExoplanetTable]) -> None:
    two = PlanetParameters.from_tensor(earth().to_tensor().repeat(2, 1))
    with pytest.raises(ValueError, match="assumed must be one planet, got 2"):
        to_planet_parameters(planets("a,1.0,,,,,,,"), assumed=two)
