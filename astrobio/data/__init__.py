"""Data computed from published physics and chemistry, and loaders for tables and cubes from elsewhere."""

from astrobio.data.archive_planets import ArchivePlanets, to_planet_parameters
from astrobio.data.climate_cube_files import ClimateCube, Missing, load_climate_cube
from astrobio.data.climate_dataset import ClimateDataset, make_climate_dataset, sample_planets, split_by_planet
from astrobio.data.cubes import CUBE_VARIABLES, CubeDataset, make_cube_dataset, simulate_cubes
from astrobio.data.energy_balance import ClimateCycle, simulate_climate
from astrobio.data.exoplanet_archive import ExoplanetTable, load_exoplanet_archive, write_exoplanet_archive
from astrobio.data.planets import PlanetParameters, earth
from astrobio.data.quantities import Quantity
from astrobio.data.surface import SurfaceCycle, simulate_surface
from astrobio.data.vertical import grey_columns
from astrobio.data.write_climate_cube import write_netcdf, write_zarr

__all__ = [
    "CUBE_VARIABLES",
    "ArchivePlanets",
    "ClimateCube",
    "ClimateCycle",
    "ClimateDataset",
    "CubeDataset",
    "ExoplanetTable",
    "Missing",
    "PlanetParameters",
    "Quantity",
    "SurfaceCycle",
    "earth",
    "grey_columns",
    "load_climate_cube",
    "load_exoplanet_archive",
    "make_climate_dataset",
    "make_cube_dataset",
    "sample_planets",
    "simulate_climate",
    "simulate_cubes",
    "simulate_surface",
    "split_by_planet",
    "to_planet_parameters",
    "write_exoplanet_archive",
    "write_netcdf",
    "write_zarr",
]
