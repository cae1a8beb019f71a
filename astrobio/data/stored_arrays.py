"""Arrays as a file stores them: what netCDF and zarr have in common, before anyone judges their values."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_VALUES = 2**28
"""Values of one array that are read at most: 2 GiB in float64. A small file can declare far more."""


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array that can be read.

    Attributes:
        name: as in the file.
        dimensions: their names, outermost first.
        shape: their sizes.
        attributes: strings, or tuples of numbers; others are left out.
        missing: values that stand for a missing one, as stored.
        read: gives the numbers as stored, in `shape`; raises ValueError, one line that names the file.
    """

    name: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    attributes: dict[str, str | tuple[float, ...]]
    missing: tuple[float, ...]
    read: Callable[[], NDArray[np.generic]]

    def text(self, attribute: str) -> str | None:
        """An attribute that is text; None where it is missing or not text."""
        value = self.attributes.get(attribute)
        return value if isinstance(value, str) else None

    def number(self, attribute: str, default: float) -> float:
        """An attribute that is one number.

        Raises:
            ValueError: it is there and is something else, or not finite.
        """
        value = self.attributes.get(attribute, (default,))
        if isinstance(value, str) or len(value) != 1 or not math.isfinite(value[0]):
            raise ValueError(f"variable {self.name}: attribute {attribute} is {value!r} where one number is expected")
        return value[0]

    def values(self) -> Tensor:
        """Its values in float64, unpacked (`scale_factor`, `add_offset`), NaN where missing.

        Raises:
            ValueError: there are none, too many, they are not numbers, or the packing is not understood.
        """
        size = math.prod(self.shape)
        if not 0 < size <= MAX_VALUES:
            raise ValueError(
                f"variable {self.name}: has {size:,} values {self.shape}, and 1 to {MAX_VALUES:,} can be loaded"
            )
        if "_Unsigned" in self.attributes:
            raise ValueError(f"variable {self.name}: attribute _Unsigned is not supported; store an unsigned type")
        stored = self.read()
        if stored.dtype.kind not in "iuf":
            raise ValueError(f"variable {self.name}: holds {stored.dtype}, not numbers")
        absent = np.zeros(stored.shape, dtype=bool)
        with np.errstate(over="ignore"):  # numpy compares in the stored type, in which a fill value may be infinite
            for value in self.missing:
                absent |= stored == value
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            values = torch.from_numpy(stored.astype(np.float64))
        scale, offset = self.number("scale_factor", 1.0), self.number("add_offset", 0.0)
        if (scale, offset) != (1.0, 0.0):
            values = values * scale + offset
        return values.masked_fill(torch.from_numpy(absent), float("nan"))


def plain_attribute(value: object) -> str | tuple[float, ...] | None:
    """An attribute as text or numbers, whatever library it comes from; None for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        return str(value)  # a plain one also where it is a numpy string
    elements: object = list(value.reshape(-1)) if isinstance(value, np.ndarray) else value
    if not isinstance(elements, list | tuple):
        elements = [elements]
    if len(elements) == 1 and isinstance(elements[0], str | bytes):
        return plain_attribute(elements[0])
    numbers = [each for each in elements if isinstance(each, int | float | np.integer | np.floating)]
    if len(numbers) < len(elements) or any(isinstance(each, bool) for each in numbers):
        return None
    try:
        return tuple(float(each) for each in numbers)
    except OverflowError:  # JSON has integers of any length
        return None
