import pytest
import torch

from astrobio.data.climate_dataset import split_by_planet
from astrobio.data.cubes import (
    CUBE_SAMPLING_RANGES,
    CubeDataset,
    climate_cubes,
    make_cube_dataset,
    monthly_insolation,
    monthly_means,
    season,
)
from astrobio.data.energy_balance import outgoing_infrared
from astrobio.data.insolation import cell_mean_insolation
from astrobio.data.planets import PARAMETER_NAMES, earth

DOUBLE = torch.float64


@pytest.fixture(scope="module")
def dataset() -> CubeDataset:
    return make_cube_dataset(3, seed=4)


def test_the_same_seed_gives_the_same_data_and_another_seed_does_not(dataset: CubeDataset) -> None:
    again, other = make_cube_dataset(3, seed=4), make_cube_dataset(1, seed=6)
    for name in ("parameters", "land", "cubes"):
        assert torch.equal(getattr(dataset, name), getattr(again, name)), name
        assert not torch.equal(getattr(dataset, name)[:1], getattr(other, name)), name


def test_a_data_set_holds_a_year_of_every_planet(dataset: CubeDataset) -> None:
    assert len(dataset) == 3
    assert dataset.cubes.shape == (3, 3, 12, 8, 12, 24)
    assert dataset.cubes.dtype == torch.float32
    assert dataset.land.shape == (3, 12, 24)
    temperature, humidity, flux = dataset.cubes.unbind(dim=1)
    assert temperature.min() > 120
    assert temperature.max() < 380
    assert humidity.min() > 0
    assert humidity.max() < 1
    assert flux.min() > 0


def test_planets_are_drawn_from_the_narrower_ranges(dataset: CubeDataset) -> None:
    for column, name in enumerate(PARAMETER_NAMES):
        low, high = CUBE_SAMPLING_RANGES[name]
        assert (dataset.parameters[:, column] >= low).all(), name
        assert (dataset.parameters[:, column] <= high).all(), name


def test_air_cools_with_height_and_lets_more_infrared_through(dataset: CubeDataset) -> None:
    assert (dataset.cubes[:, 0].diff(dim=2) < 0).all()
    assert (dataset.cubes[:, 2].diff(dim=2) > -1e-3).all()  # equal above the tropopause, to the rounding of float32


def test_the_flux_at_the_top_is_that_of_the_energy_balance_model() -> None:
    surface = torch.linspace(230.0, 310.0, 12 * 6, dtype=DOUBLE).view(1, 12, 2, 3)
    co2 = torch.tensor([1000.0], dtype=DOUBLE)
    top = climate_cubes(surface, co2, num_levels=20)[:, 2, :, -1]
    expected = outgoing_infrared(surface, co2[:, None, None, None])
    assert ((top - expected) / expected).abs().max() < 1e-6  # float32, and interpolation in a table


def test_months_are_means_of_their_times() -> None:
    times = torch.arange(24, dtype=DOUBLE)[None, :, None]
    assert monthly_means(times)[0, :, 0].tolist() == [0.5 + 2 * month for month in range(12)]
    with pytest.raises(ValueError, match="multiple of 12 times to be averaged by month, got 13"):
        monthly_means(torch.zeros(1, 13))


def test_monthly_insolation_keeps_the_mean_of_the_year() -> None:
    monthly = monthly_insolation(earth())
    assert monthly.shape == (1, 12, 12)
    yearly = cell_mean_insolation(earth(), num_times=48, num_latitudes=12).mean(dim=1)
    assert (monthly.mean(dim=1) - yearly).abs().max() < 1e-9


def test_a_season_goes_on_into_the_next_year() -> None:
    cubes = torch.arange(12.0).view(1, 1, 12, 1).expand(2, 3, -1, 2)
    chosen = season(cubes, torch.tensor([3, 11]))
    assert chosen.shape == (2, 3, 3, 2)
    assert chosen[0, 0, :, 0].tolist() == [3, 4, 5]
    assert chosen[1, 2, :, 1].tolist() == [11, 0, 1]


def test_no_planet_is_on_both_sides_of_the_split() -> None:
    number = torch.arange(20, dtype=DOUBLE)
    numbered = CubeDataset(parameters=number[:, None].expand(-1, 7), land=number[:, None, None], cubes=number)
    train, held_out = split_by_planet(numbered, held_out_fraction=0.25, seed=0)
    assert (len(train), len(held_out)) == (15, 5)
    assert torch.equal(torch.cat((train.cubes, held_out.cubes)).sort().values, number)
    assert torch.equal(train.parameters[:, 0], train.cubes)
    assert torch.equal(held_out.land[:, 0, 0], held_out.cubes)
