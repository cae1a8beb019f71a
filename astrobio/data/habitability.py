"""Planets with a climate, a transmission spectrum and a metabolic network, and whether they are habitable.

Habitable is here, by definition, a planet of which three things hold:

- its surface is between the freezing and the boiling point of water for most of time and place (the habitable fraction
  of Spiegel, Menou & Scharf 2008, Habitable climates, Astrophysical Journal 681);
- its atmosphere holds water vapour;
- its metabolic network makes compounds with nitrogen and compounds with phosphorus, as proteins and nucleic acids need.

The three kinds of data are drawn independently, but for the temperature of the atmosphere, which is the mean of the
climate's and so tells most of the first condition too. They need not agree: the carbon dioxide of climate and spectrum
are two numbers, and some atmospheres hold more vapour than they could.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.data.artificial_chemistry import ELEMENTS
from astrobio.data.climate_dataset import make_climate_dataset
from astrobio.data.gases import GASES
from astrobio.data.metabolic_networks import MetabolicNetwork, generate_networks
from astrobio.data.spectra_dataset import sample_transiting_planets
from astrobio.data.transmission import TransitingPlanets, transit_depth

MIN_HABITABLE_FRACTION = 0.85
MIN_LOG10_WATER = -4.5
_FREEZING_K, _BOILING_K = 273.15, 373.15


@dataclass(frozen=True, eq=False)
class HabitabilityDataset:
    """Planets with three kinds of data.

    Attributes:
        parameters: (B, 7) float64, what the climate follows from, see `astrobio.data.planets.PARAMETER_NAMES`.
        temperature_k: (B, 48 times, 24 latitudes) float32 in K.
        planets: what the spectra depend on.
        depth: (B, wavelengths) float64, transit depth without noise.
        networks: a metabolic network for each planet.
    """

    parameters: Tensor
    temperature_k: Tensor
    planets: TransitingPlanets
    depth: Tensor
    networks: Sequence[MetabolicNetwork]

    def __len__(self) -> int:
        """The number of planets."""
        return len(self.temperature_k)

    def __getitem__(self, planets: Tensor) -> "HabitabilityDataset":
        """The planets at these indices, an integer tensor (n,)."""
        return HabitabilityDataset(
            self.parameters[planets],
            self.temperature_k[planets],
            self.planets[planets],
            self.depth[planets],
            [self.networks[index] for index in planets.tolist()],
        )

    @property
    def conditions(self) -> Tensor:
        """(B, 3) bool: whether climate, water vapour and metabolism are as they have to be."""
        water = self.planets.log10_abundance[:, GASES.index("H2O")]
        return torch.stack(
            (
                habitable_fraction(self.temperature_k) >= MIN_HABITABLE_FRACTION,
                water >= MIN_LOG10_WATER,
                torch.tensor([makes_biomass(network) for network in self.networks]),
            ),
            dim=1,
        )

    @property
    def is_habitable(self) -> Tensor:
        """(B,) bool: whether all three conditions hold."""
        return self.conditions.all(dim=1)


def habitable_fraction(temperature_k: Tensor) -> Tensor:
    """The share of times and of the surface with liquid water at 1 bar, (B,), of (B, time, latitude) in K.

    Latitude cells cover equal areas, as those of the energy-balance model do.
    """
    is_liquid = (temperature_k > _FREEZING_K) & (temperature_k < _BOILING_K)
    return is_liquid.double().mean(dim=(1, 2))


def makes_biomass(network: MetabolicNetwork) -> bool:
    """Whether there are compounds with nitrogen and compounds with phosphorus, not necessarily the same."""
    atoms = network.compositions.sum(dim=0).tolist()
    return bool(atoms[ELEMENTS.index("N")] and atoms[ELEMENTS.index("P")])


def make_habitability_dataset(num_planets: int, seed: int) -> HabitabilityDataset:
    """Random planets; the same seed gives the same data set.

    Raises:
        ValueError: `num_planets` is below 1.
        RuntimeError: a climate does not settle; see `astrobio.data.energy_balance.simulate_climate`.
    """
    climates = make_climate_dataset(num_planets, seed)
    planets = sample_transiting_planets(num_planets, torch.Generator().manual_seed(seed + 1))
    planets.temperature_k.copy_(climates.temperature_k.mean(dim=(1, 2)))
    return HabitabilityDataset(
        parameters=climates.parameters,
        temperature_k=climates.temperature_k.float(),
        planets=planets,
        depth=transit_depth(planets),
        networks=generate_networks(num_planets, seed + 2),
    )
