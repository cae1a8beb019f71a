import math

import pytest
import torch

from astrobio.data.climate_dataset import (
    SAMPLING_RANGES,
    ClimateDataset,
    make_climate_dataset,
    sample_planets,
    split_by_planet,
)
from astrobio.data.planets import PARAMETER_NAMES


def numbered(num_planets: int) -> ClimateDataset:
    number = torch.arange(num_planets, dtype=torch.float64)
    return ClimateDataset(parameters=number[:, None].expand(-1, 7), temperature_k=number[:, None, None])


def test_the_same_seed_gives_the_same_data_and_another_seed_does_not() -> None:
    first, again, other = (make_climate_dataset(4, seed=seed) for seed in (4, 4, 6))
    assert torch.equal(first.parameters, again.parameters)
    assert torch.equal(first.temperature_k, again.temperature_k)
    assert not torch.equal(first.parameters, other.parameters)
    assert first.temperature_k.shape == (4, 48, 24)
    assert len(first) == 4


@pytest.mark.parametrize("name", PARAMETER_NAMES)
def test_parameters_fill_their_ranges_evenly(name: str) -> None:
    num_planets = 4000
    values = getattr(sample_planets(num_planets, torch.Generator().manual_seed(0)), name)
    low, high = SAMPLING_RANGES[name]
    if name == "co2_ppm":
        values, low, high = values.log(), math.log(low), math.log(high)
    unit = (values - low) / (high - low)
    assert float(unit.min()) >= 0
    assert float(unit.max()) <= 1
    # Kolmogorov-Smirnov: a uniform sample exceeds 1.95 / sqrt(n) with probability 0.001.
    expected = torch.arange(1, num_planets + 1, dtype=torch.float64) / num_planets
    assert (unit.sort().values - expected).abs().max() < 1.95 / math.sqrt(num_planets)


def test_sampled_planets_are_physical() -> None:
    sample_planets(500, torch.Generator().manual_seed(0)).require_physical()


def test_no_planet_is_on_both_sides_of_the_split() -> None:
    train, held_out = split_by_planet(numbered(50), held_out_fraction=0.2, seed=0)
    assert (len(train), len(held_out)) == (40, 10)
    together = torch.cat((train.parameters[:, 0], held_out.parameters[:, 0]))
    assert torch.equal(together.sort().values, torch.arange(50, dtype=torch.float64))
    assert torch.equal(train.temperature_k[:, 0, 0], train.parameters[:, 0])


def test_the_split_depends_on_its_seed() -> None:
    first, _ = split_by_planet(numbered(50), held_out_fraction=0.2, seed=0)
    other, _ = split_by_planet(numbered(50), held_out_fraction=0.2, seed=1)
    assert not torch.equal(first.parameters, other.parameters)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 1.0])
def test_a_split_with_an_empty_side_is_an_error(fraction: float) -> None:
    with pytest.raises(ValueError, match="leaves one of the two sets empty"):
        split_by_planet(numbered(10), held_out_fraction=fraction, seed=0)


def test_no_planets_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_planets must be at least 1, got 0"):
        make_climate_dataset(0, seed=0)
