"""What the tasks on seasons of climate cubes have in common: the planets, which of them are held out, and parts."""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from torch import Tensor, nn

from astrobio.data.climate_dataset import split_by_planet
from astrobio.data.cubes import CubeDataset, make_cube_dataset
from astrobio.registry import create_model
from astrobio.training.task import TrainingTask

HELD_OUT_FRACTION = 0.2
NUM_PLANETS = {"base": 320, "fast": 80}


class SeasonTask(TrainingTask):
    """A task on simulated cubes, a fifth of whose planets is held out. `models` names the model of each preset."""

    models: Mapping[str, str]

    @property
    def _split(self) -> tuple[CubeDataset, CubeDataset]:
        return _simulated_split(NUM_PLANETS[self.preset_name], self.seed)

    @property
    def train(self) -> CubeDataset:
        """The planets that are learned from."""
        return self._split[0]

    @property
    def held_out(self) -> CubeDataset:
        """The planets that are measured on, none of them in `train`."""
        return self._split[1]

    def build_model(self) -> nn.Module:
        """A new model of the preset."""
        return create_model(self.models[self.preset_name])


@lru_cache(maxsize=2)  # simulating takes longer than many steps, and both tasks have the same planets
def _simulated_split(num_planets: int, seed: int) -> tuple[CubeDataset, CubeDataset]:
    dataset = make_cube_dataset(num_planets, seed)
    return split_by_planet(dataset, held_out_fraction=HELD_OUT_FRACTION, seed=seed)


def parts_of(batch: Mapping[str, Tensor], *, size: int = 16) -> Iterator[dict[str, Tensor]]:
    """The batch in consecutive parts of at most `size`, which fit the memory."""
    for first in range(0, len(next(iter(batch.values()))), size):
        yield {name: tensor[first : first + size] for name, tensor in batch.items()}
