"""Where the samples and the positions of a mask are in an output: on which axes, as far as the model tells."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from audit.gateway.client import Plain
from audit.replies import table_of

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Axes:
    """The axes of an output.

    `samples` is that of samples, None where none is known. `positions` are as long as the mask and follow it;
    `doubtful` may have positions and it is not known which: of another length that follows the mask, or as long as the
    mask beside others that are.
    """

    samples: int | None
    positions: tuple[int, ...] = ()
    doubtful: tuple[int, ...] = ()


def axes_of(output: Tensor, name: str, mask: Tensor, told: Mapping[str, Plain]) -> Axes:
    """Return the axes of an output, by its shapes for a batch with a sample more, and for one with a position less.

    Where the model runs on no such batch, or an output does not follow it, the length of an axis tells, if one alone
    is as long.
    """
    size, length = mask.shape
    shape = tuple(output.shape)
    larger, shorter = _shape(told, "more_samples", name), _shape(told, "fewer_positions", name)
    samples = _samples(shape, larger, size)
    follows = [axis for axis, other in enumerate(_alike(shorter, shape)) if other != shape[axis]]
    if follows:
        known = tuple(axis for axis in follows if axis != samples and shape[axis] == length)
        return Axes(samples=samples, positions=known, doubtful=tuple(each for each in follows if each not in known))
    as_long = tuple(axis for axis, each in enumerate(shape) if each == length and axis != samples)
    if len(as_long) == 1:
        return Axes(samples=samples, positions=as_long)
    return Axes(samples=samples, doubtful=as_long)


def hidden(output: Tensor, axes: Axes, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return which elements of an output stand at hidden positions: surely, and possibly.

    On an axis of another length than the mask's a position may be moved by up to the difference of the lengths,
    wherever what is more or less stands; so it is too where the axis has the samples one after the other.
    """
    surely = torch.zeros(output.shape, dtype=torch.bool)
    possibly = surely.clone()
    for axis in (*axes.positions, *axes.doubtful):
        masked = ~kept if axes.samples is not None and axes.samples != axis else None
        sure = masked if masked is not None else (~kept).all(0, keepdim=True)
        may = masked if masked is not None else (~kept).any(0, keepdim=True)
        if axis not in axes.doubtful:
            surely |= _spread(sure, output, axis, axes.samples)
        possibly |= _spread(_shifted(may, output.shape[axis]), output, axis, axes.samples)
    return surely, possibly


def _shifted(masked: Tensor, length: int) -> Tensor:
    """Return what of an axis of some length a mask (B, L) may hide, (B, length)."""
    own = masked.shape[1]
    found = torch.zeros(len(masked), length, dtype=torch.bool)
    for shift in range(abs(length - own) + 1):
        if length >= own:
            found[:, shift : shift + own] |= masked
        else:
            found |= masked[:, shift : shift + length]
    return found


def _spread(masked: Tensor, output: Tensor, axis: int, samples: int | None) -> Tensor:
    """Return a mask (B, L) or (1, L) along the axes of samples and positions of an output."""
    shape = [1] * output.dim()
    shape[axis] = masked.shape[1]
    if len(masked) == 1 or samples is None or samples == axis:
        return masked.any(0).view(shape)
    shape[samples] = masked.shape[0]
    return (masked if samples < axis else masked.T).reshape(shape)


def _samples(shape: Shape, larger: Shape | None, size: int) -> int | None:
    follows = [axis for axis, other in enumerate(_alike(larger, shape)) if (shape[axis], other) == (size, size + 1)]
    if len(follows) == 1:
        return follows[0]
    if larger is not None and len(larger) == len(shape):
        return None
    return next((axis for axis, each in enumerate(shape) if each == size), None)


def _alike(other: Shape | None, shape: Shape) -> Shape:
    """Return another shape of as many axes; the same again where it is none."""
    return other if other is not None and len(other) == len(shape) else shape


def _shape(told: Mapping[str, Plain], key: str, name: str) -> Shape | None:
    found = table_of(told, key).get(name) if told.get(key) is not None else None
    return tuple(each for each in found if isinstance(each, int)) if isinstance(found, list) else None
