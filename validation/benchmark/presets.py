"""The names of the presets, apart from what they are: `--help` reads no more."""

from enum import StrEnum


class Preset(StrEnum):
    """Grids by name."""

    QUICK = "quick"
    CPU = "cpu"
    GPU = "gpu"
