"""Where an output that the specs name has the positions of each row, where these are others than the content's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audit.catalog import Padding
from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from audit.replies import list_of

FIX_OF_OUTPUTS = (
    "name an output whose positions follow those of a row without its padding, as frames that are subsampled do, and "
    "let the padding stand before or behind them"
)


class UntoldError(ValueError):
    """Which positions of an output are those of a row is not told; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Spans:
    """The positions that each row has alone: from which one on, and how many, on an `axis` of an output.

    `samples` is the axis of samples; None where the rows stand one after another on the axis of positions.
    """

    axis: int
    samples: int | None
    rows: tuple[tuple[int, int], ...]

    def of_row(self, output: Tensor, row: int) -> Tensor:
        """Return what a row has."""
        begin, count = self.rows[row]
        own = output if self.samples is None else output.narrow(self.samples, row, 1)
        return own.narrow(self.axis, begin, count)

    def hidden(self, output: Tensor) -> Tensor:
        """Return which elements of an output stand at positions that a row does not have alone."""
        found = torch.ones(output.shape, dtype=torch.bool)
        for row in range(len(self.rows)):
            self.of_row(found, row).fill_(False)
        return found


def named_axes(paddings: Iterable[Padding]) -> dict[str, int]:
    """Return the axis of positions of each output that these paddings name."""
    return {name: axis for each in paddings for name, axis in (each.outputs or {}).items()}


def spans_of(
    output: Tensor, name: str, axis: int, *, samples: int | None, kept: Tensor, reply: Mapping[str, Plain], key: str
) -> Spans:
    """Return where an output has the positions of each row.

    A row of which the last positions are hidden has the first of the output, and one of which the first are has the
    last. An output without an axis of samples has the rows one after another.

    Args:
        output: of the batch.
        name: of the output.
        axis: that of its positions.
        samples: the axis of its samples, if it has one.
        kept: (B, L), True where a position counts.
        reply: of the probe, which has under `key` the shapes of the outputs of each row alone.
        key: see `reply`.

    Raises:
        UntoldError: the output has other positions than the rows alone, or what is hidden stands between others.
    """
    counts = [_count(shapes, name, axis, samples, output.shape) for shapes in list_of(reply, key)]
    if len(counts) != len(kept):
        raise ProbeFailure("the target's process sent no shapes of the rows")
    length = output.shape[axis]
    if samples is None or samples == axis:
        if sum(counts) != length:
            raise UntoldError(
                f"{name} has {length} positions on axis {axis} and no axis of samples, and its rows alone have "
                f"{', '.join(map(str, counts))}, which are {sum(counts)} one after another"
            )
        begins = [sum(counts[:row]) for row in range(len(counts))]
        return Spans(axis=axis, samples=None, rows=tuple(zip(begins, counts, strict=True)))
    rows = []
    for row, count in enumerate(counts):
        if count > length or (bool(kept[row].all()) and count != length):
            raise UntoldError(f"{name} has {length} positions on axis {axis}, and row {row} has {count} of them alone")
        rows.append((0 if _is_first(kept[row], name, row) else length - count, count))
    return Spans(axis=axis, samples=samples, rows=tuple(rows))


def _is_first(kept: Tensor, name: str, row: int) -> bool:
    """Whether the positions that count are the first of a row, and not the last."""
    count = int(kept.sum())
    if bool(kept[:count].all()):
        return True
    if bool(kept[len(kept) - count :].all()):
        return False
    raise UntoldError(f"what is hidden in row {row} stands between what counts: which positions of {name} these are")


def _count(shapes: Plain, name: str, axis: int, samples: int | None, whole: Sequence[int]) -> int:
    """Return how many positions an output of a row alone has, by its shapes; those of other axes are the batch's."""
    if shapes is None:  # all of the row is padding
        return 0
    shape = shapes.get(name) if isinstance(shapes, dict) else None
    if not isinstance(shape, list) or len(shape) != len(whole):
        raise UntoldError(f"a row alone has no {name} of {len(whole)} axes")
    if odd := [each for each, own in enumerate(whole) if each not in (axis, samples) and shape[each] != own]:
        raise UntoldError(
            f"{name} is {tuple(whole)}, and {tuple(shape)} of a row alone: not axis {axis}, but {odd[0]} follows it"
        )
    count = shape[axis]
    assert isinstance(count, int)
    return count
