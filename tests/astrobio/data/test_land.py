import pytest
import torch

from astrobio.data.land import cell_centres, sample_land

DOUBLE = torch.float64


def land(fractions: list[float], seed: int = 0, **grid: int) -> torch.Tensor:
    shape = {"num_latitudes": 12, "num_longitudes": 24, **grid}
    return sample_land(torch.tensor(fractions, dtype=DOUBLE), torch.Generator().manual_seed(seed), **shape)


def test_the_share_of_land_is_the_one_asked_for() -> None:
    mask = land([0.0, 0.25, 0.3, 1.0])
    assert mask.dtype == torch.bool
    assert mask.flatten(1).sum(dim=1).tolist() == [0, 72, 86, 288]


def test_the_same_seed_gives_the_same_continents_and_another_seed_does_not() -> None:
    assert torch.equal(land([0.3]), land([0.3]))
    assert not torch.equal(land([0.3]), land([0.3], seed=1))


def test_planets_of_a_batch_have_different_continents() -> None:
    first, second = land([0.3, 0.3])
    assert not torch.equal(first, second)


def test_continents_are_larger_than_a_cell() -> None:
    mask = land([0.4] * 200)
    # Neighbours would agree with probability 0.4^2 + 0.6^2 = 0.52 if cells were drawn one by one.
    assert (mask == mask.roll(1, dims=-1)).double().mean() > 0.8


def test_no_place_is_favoured() -> None:
    share = land([0.4] * 2000).double().mean(dim=0)
    # A share of 2000 draws at 0.4 scatters by 0.011; five standard deviations, in each of 288 cells.
    assert (share - 0.4).abs().max() < 0.055


def test_cells_lie_in_the_middle_of_equal_areas() -> None:
    sin_latitude, longitude = cell_centres(4, 8)
    assert torch.equal(sin_latitude, torch.tensor([-0.75, -0.25, 0.25, 0.75], dtype=DOUBLE))
    assert torch.allclose(longitude.diff(), torch.full((7,), torch.pi / 4, dtype=DOUBLE))


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_share_outside_zero_and_one_is_an_error(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"land fractions must be in \[0, 1\]"):
        land([fraction])


def test_a_grid_without_cells_is_an_error() -> None:
    with pytest.raises(ValueError, match="need at least one cell"):
        land([0.3], num_latitudes=0)
