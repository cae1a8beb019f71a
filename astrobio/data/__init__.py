"""Physics-based data: a seasonal energy-balance climate model and data sets computed with it."""

from astrobio.data.climate_dataset import ClimateDataset, make_climate_dataset, sample_planets, split_by_planet
from astrobio.data.energy_balance import ClimateCycle, simulate_climate
from astrobio.data.planets import PlanetParameters, earth

__all__ = [
    "ClimateCycle",
    "ClimateDataset",
    "PlanetParameters",
    "earth",
    "make_climate_dataset",
    "sample_planets",
    "simulate_climate",
    "split_by_planet",
]
