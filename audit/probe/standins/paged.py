"""Caches of keys and values whose rows lie in pages, or one behind the other."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .exact import Misused


@dataclass(frozen=True)
class Cache:
    """Keys and values (B, capacity, G, D), or (pages, rows of a page, G, D) with the pages of each sample, (B, n)."""

    keys: Tensor
    values: Tensor
    pages: Tensor | None = None
    samples: Tensor | None = None  # which row of the cache belongs to each sample

    @property
    def capacity(self) -> int:
        """How many rows a sample has."""
        return self.keys.shape[1] if self.pages is None else self.keys.shape[1] * self.pages.shape[1]

    def append(self, keys: Tensor, values: Tensor, before: Tensor) -> None:
        """Write new rows, (B, L, G, D), behind those that each sample has, in place."""
        for sample in range(keys.shape[0]):
            for row in range(keys.shape[1]):
                place = self._place(sample, int(before[sample]) + row)
                with torch.no_grad():
                    self.keys[place] = keys[sample, row]
                    self.values[place] = values[sample, row]

    def of(self, sample: int, length: int) -> tuple[Tensor, Tensor]:
        """Return the first rows of a sample, (length, G, D)."""
        if self.pages is None:
            own = sample if self.samples is None else int(self.samples[sample])
            return self.keys[own, :length], self.values[own, :length]
        pages = self.pages[sample].long()
        return self.keys[pages].flatten(0, 1)[:length], self.values[pages].flatten(0, 1)[:length]

    def _place(self, sample: int, row: int) -> tuple[int, int]:
        if row >= self.capacity:
            raise Misused(f"row {row} is behind the {self.capacity} rows that the cache has for a sample")
        if self.pages is None:
            return (sample if self.samples is None else int(self.samples[sample])), row
        size = self.keys.shape[1]
        return int(self.pages[sample, row // size]), row % size


def behind_one_another(paged: Tensor, pages: Tensor, starts: Tensor) -> Tensor:
    """Return the rows of pages (pages, rows, G, D) as packed sequences whose beginnings are `starts`."""
    lengths = starts.diff().tolist()
    return torch.cat(
        [paged[own.long()].flatten(0, 1)[:length] for own, length in zip(pages, lengths, strict=True)], dim=0
    )
