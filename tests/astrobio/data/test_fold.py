import pytest
import torch

from astrobio.data.climate_dataset import SAMPLING_RANGES, ClimateDataset, sample_planets
from astrobio.data.energy_balance import simulate_climate
from astrobio.data.fold import coarse_drift, make_fold_dataset, sample_planets_near_fold
from astrobio.data.planets import PARAMETER_NAMES, PlanetParameters, earth


def earths(*instellations: float) -> PlanetParameters:
    """Earth at other distances from the sun."""
    table = earth().to_tensor().repeat(len(instellations), 1)
    table[:, PARAMETER_NAMES.index("instellation")] = torch.tensor(instellations, dtype=torch.float64)
    return PlanetParameters.from_tensor(table)


def test_a_planet_far_from_the_fold_has_settled() -> None:
    warm, frozen = coarse_drift(earths(1.1, 0.7)).tolist()
    assert warm < 1e-6
    assert frozen < 1e-6


def test_an_earth_about_to_freeze_drifts() -> None:
    instellation = torch.linspace(0.86, 0.98, 13)
    planets = earths(*instellation.tolist())
    warm = simulate_climate(planets).temperature_k.mean(dim=(1, 2)) > 250
    assert warm.any()
    assert not warm.all()  # so the fold lies between
    drift = coarse_drift(planets)
    assert drift.max() > 0.1
    # 12 latitudes move the fold by about 0.01, and the drift is largest just below it, while the planet falls.
    assert abs(float(instellation[int(drift.argmax())] - instellation[warm].min())) < 0.025


@pytest.fixture(scope="module")
def near_fold() -> ClimateDataset:
    return make_fold_dataset(40, seed=4)


def test_planets_near_the_fold_freeze_or_barely_do_not(near_fold: ClimateDataset) -> None:
    assert near_fold.parameters.shape == (40, 7)
    assert near_fold.temperature_k.shape == (40, 48, 24)
    frozen = (near_fold.temperature_k.mean(dim=(1, 2)) < 250).double().mean()
    assert 0.1 < frozen < 0.7  # of many 0.4, with a standard deviation of 0.08 for 40
    slowest = simulate_climate(PlanetParameters.from_tensor(near_fold.parameters[:8])).years.median()
    anywhere = simulate_climate(sample_planets(8, torch.Generator().manual_seed(4))).years.median()
    assert slowest > 1.5 * anywhere


def test_their_climates_are_those_of_the_energy_balance_model(near_fold: ClimateDataset) -> None:
    simulated = simulate_climate(PlanetParameters.from_tensor(near_fold.parameters[:3])).temperature_k
    # Rounding differs with the size of the batch, and a cycle counts as settled when it changes by 1e-6 K a year.
    assert (near_fold.temperature_k[:3] - simulated).abs().max() < 1e-5


def test_planets_near_the_fold_lie_in_the_sampling_ranges() -> None:
    table = sample_planets_near_fold(100, torch.Generator().manual_seed(0)).to_tensor()
    low, high = torch.tensor(list(SAMPLING_RANGES.values()), dtype=torch.float64).unbind(dim=1)
    assert table.shape == (100, 7)
    assert (table >= low).all()
    assert (table <= high).all()


def test_the_same_seed_gives_the_same_planets_and_another_seed_does_not() -> None:
    first, again, other = (make_fold_dataset(1, seed=seed).parameters for seed in (8, 8, 11))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_no_planet_is_one_of_the_data_set_with_the_same_seed(near_fold: ClimateDataset) -> None:
    table = sample_planets(3000, torch.Generator().manual_seed(4)).to_tensor()
    table = table[coarse_drift(PlanetParameters.from_tensor(table)) > 0.005]
    assert len(table) > 100  # what a generator with the same seed would find
    found = {tuple(row) for row in near_fold.parameters.tolist()}
    assert len(found) == 40
    assert not found & {tuple(row) for row in table.tolist()}


def test_no_planets_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_planets must be at least 1, got 0"):
        make_fold_dataset(0, seed=0)
