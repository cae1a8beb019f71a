"""Physics-based data: seasonal energy-balance climate models, columns of air above them, and data sets of both."""

from astrobio.data.climate_dataset import ClimateDataset, make_climate_dataset, sample_planets, split_by_planet
from astrobio.data.cubes import CUBE_VARIABLES, CubeDataset, make_cube_dataset, simulate_cubes
from astrobio.data.energy_balance import ClimateCycle, simulate_climate
from astrobio.data.planets import PlanetParameters, earth
from astrobio.data.surface import SurfaceCycle, simulate_surface
from astrobio.data.vertical import grey_columns

__all__ = [
    "CUBE_VARIABLES",
    "ClimateCycle",
    "ClimateDataset",
    "CubeDataset",
    "PlanetParameters",
    "SurfaceCycle",
    "earth",
    "grey_columns",
    "make_climate_dataset",
    "make_cube_dataset",
    "sample_planets",
    "simulate_climate",
    "simulate_cubes",
    "simulate_surface",
    "split_by_planet",
]
