import pytest
import torch

from astrobio.data.gases import GASES
from astrobio.data.habitability import (
    MIN_HABITABLE_FRACTION,
    MIN_LOG10_WATER,
    HabitabilityDataset,
    habitable_fraction,
    make_habitability_dataset,
    makes_biomass,
)
from astrobio.data.metabolic_networks import MetabolicNetwork


@pytest.fixture(scope="module")
def dataset() -> HabitabilityDataset:
    return make_habitability_dataset(60, seed=4)


def test_the_habitable_fraction_counts_liquid_water() -> None:
    temperature = torch.full((2, 4, 5), 300.0)
    temperature[0, :, 0] = 273.0  # frozen pole
    temperature[0, 0, 1] = 380.0  # boiling once
    assert habitable_fraction(temperature).tolist() == pytest.approx([1.0 - 5 / 20, 1.0])


def test_biomass_needs_nitrogen_and_phosphorus() -> None:
    def network(nitrogen: int, phosphorus: int) -> MetabolicNetwork:
        rows = [[1, 4, 0, 1, 0, 0], [2, 5, nitrogen, 2, phosphorus, 0]]
        return MetabolicNetwork(torch.tensor(rows), torch.tensor([[0, 1]]))

    assert makes_biomass(network(1, 1))
    assert not makes_biomass(network(1, 0))
    assert not makes_biomass(network(0, 2))


def test_a_planet_is_habitable_where_all_conditions_hold(dataset: HabitabilityDataset) -> None:
    conditions = dataset.conditions
    assert conditions.shape == (60, 3)
    expected_climate = habitable_fraction(dataset.temperature_k) >= MIN_HABITABLE_FRACTION
    assert torch.equal(conditions[:, 0], expected_climate)
    water = dataset.planets.log10_abundance[:, GASES.index("H2O")]
    assert torch.equal(conditions[:, 1], water >= MIN_LOG10_WATER)
    assert conditions[:, 2].tolist() == [makes_biomass(network) for network in dataset.networks]
    assert torch.equal(dataset.is_habitable, conditions.all(dim=1))


def test_every_condition_decides_for_some_planets() -> None:
    conditions = make_habitability_dataset(300, seed=0).conditions
    for index in range(3):
        others = conditions[:, [other for other in range(3) if other != index]].all(dim=1)
        share = conditions[others, index].double().mean()
        assert 0.1 < float(share) < 0.95
    assert 0.25 < float(conditions.all(dim=1).double().mean()) < 0.6


def test_the_atmosphere_has_the_mean_temperature_of_the_climate(dataset: HabitabilityDataset) -> None:
    mean = dataset.temperature_k.double().mean(dim=(1, 2))
    torch.testing.assert_close(dataset.planets.temperature_k, mean, rtol=0.0, atol=1e-4)  # float32 against float64


def test_the_same_seed_gives_the_same_planets(dataset: HabitabilityDataset) -> None:
    again = make_habitability_dataset(60, seed=4)
    assert torch.equal(again.depth, dataset.depth)
    assert torch.equal(again.temperature_k, dataset.temperature_k)
    assert [each.digest for each in again.networks] == [each.digest for each in dataset.networks]
    assert not torch.equal(make_habitability_dataset(60, seed=5).depth, dataset.depth)


def test_picking_planets_keeps_their_data_together(dataset: HabitabilityDataset) -> None:
    index = torch.tensor([7, 3])
    picked = dataset[index]
    assert torch.equal(picked.temperature_k, dataset.temperature_k[index])
    assert torch.equal(picked.depth, dataset.depth[index])
    assert [each.digest for each in picked.networks] == [dataset.networks[i].digest for i in (7, 3)]
    assert torch.equal(picked.is_habitable, dataset.is_habitable[index])
