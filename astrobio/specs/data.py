"""The simulated data sets, each with its parts as training splits it."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from astrobio.data.climate_dataset import make_climate_dataset, split_by_planet
from astrobio.data.cubes import make_cube_dataset
from astrobio.data.fold import make_fold_dataset
from astrobio.data.habitability import make_habitability_dataset
from astrobio.data.metabolic_networks import generate_networks
from astrobio.data.spectra_dataset import make_spectra_dataset


def _data_spec(make: Callable[[int, int], Any], class_: str) -> dict[str, object]:
    """A data set of planets or networks, simulated once, and its parts as training splits it."""

    @cache
    def build() -> Any:
        return make(_NUM_SIMULATED, 0)

    def splits() -> dict[str, object]:
        dataset = build()
        if isinstance(dataset, list):  # networks, which are made one after the other and all different
            return {"train": dataset[2:], "held_out": dataset[:2]}
        train, held_out = split_by_planet(dataset, held_out_fraction=0.25, seed=0)
        return {"train": train, "held_out": held_out}

    return {"class": class_, "build": build, "item": _item, "splits": splits}


def _item(dataset: Any, index: int) -> object:
    """One planet or one network; data sets of planets are indexed by tensors."""
    return dataset[index] if isinstance(dataset, list) else dataset[torch.tensor([index])]


_NUM_SIMULATED = 8  # planets or networks of a data set

DATA: dict[str, dict[str, object]] = {
    "climates": _data_spec(make_climate_dataset, "astrobio.data.climate_dataset:ClimateDataset"),
    "climates_near_the_fold": _data_spec(make_fold_dataset, "astrobio.data.climate_dataset:ClimateDataset"),
    "cubes": _data_spec(make_cube_dataset, "astrobio.data.cubes:CubeDataset"),
    "spectra": _data_spec(make_spectra_dataset, "astrobio.data.spectra_dataset:SpectraDataset"),
    "habitability": _data_spec(make_habitability_dataset, "astrobio.data.habitability:HabitabilityDataset"),
    "metabolic_networks": _data_spec(generate_networks, "astrobio.data.metabolic_networks:MetabolicNetwork"),
}
