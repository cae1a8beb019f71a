"""How many batches are looked at for padding, and what the probe is told of it in each."""

from collections.abc import Iterable

from audit.catalog import Padding
from audit.gateway.client import Plain

BATCHES = 4


def number_of_batches(paddings: Iterable[Padding]) -> int:
    """Return how many batches are looked at, each of a seed of its own.

    A model that subsamples treats some lengths of rows otherwise, and one batch may have none of these. Where nothing
    says that there are lengths or subsampled outputs, one batch tells as much as several.
    """
    return BATCHES if any(each.outputs or each.marks == "lengths" for each in paddings) else 1


def described(padding: Padding, batch: int) -> dict[str, Plain]:
    """Return what the probe is told of a padding: for each `batch` it chooses lengths where the specs hide nothing."""
    return {**padding.model_dump(exclude={"removable"}), "batch": batch}
