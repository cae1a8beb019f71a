"""Keeps the batches that specs have made, for procedures ask for the same ones again and again.

A batch is what 'inputs' makes of a size and a seed; smoke.determinism asks it anew each time, and tells where it gives
another. What is handed out is a copy, so that nothing that is written into it is kept.
"""

from collections.abc import Callable
from typing import cast

import torch

_MOST_BATCHES = 24
_MOST_BYTES = 32 * 2**20
_PLAIN = (int, float, bool, str, bytes, type(None))

_Key = tuple[Callable[..., object], int, int]
_kept: dict[_Key, tuple[object, int]] = {}


def made(make: Callable[..., object], batch_size: int, seed: int) -> object:
    """Return what `make(batch_size, generator)` gives under a seed."""
    return make(batch_size, torch.Generator().manual_seed(seed))


def batch(make: Callable[..., object], batch_size: int, seed: int) -> object:
    """Return the same: made now, or a copy of what it gave before."""
    key = (make, batch_size, seed)
    if key in _kept:
        return _copied(_kept[key][0])
    new = made(make, batch_size, seed)
    sizes = _sizes(new)
    if sizes is not None and type(new) is dict and sum(sizes.values()) <= _MOST_BYTES:
        while _kept and (
            len(_kept) >= _MOST_BATCHES or sum(size for _, size in _kept.values()) > _MOST_BYTES - sum(sizes.values())
        ):
            del _kept[next(iter(_kept))]
        _kept[key] = _copied(new), sum(sizes.values())
    return new


def _sizes(value: object) -> dict[int, int] | None:
    """Return the bytes of each tensor by its place in memory; None where a copy would not be all that the value is."""
    if type(value) is torch.Tensor:
        return _size(value)
    if type(value) in _PLAIN:
        return {}
    if type(value) in (dict, list, tuple):
        items = list(value.values()) if isinstance(value, dict) else list(cast("list[object]", value))
        found: dict[int, int] = {}
        for item in items:
            inner = _sizes(item)
            if inner is None or found.keys() & inner.keys():  # two views of one memory
                return None
            found |= inner
        return found
    return None


def _size(tensor: torch.Tensor) -> dict[int, int] | None:
    if tensor.layout is not torch.strided or tensor.requires_grad or vars(tensor) or not tensor.is_contiguous():
        return None
    size = tensor.numel() * tensor.element_size()
    storage = tensor.untyped_storage()
    if storage.nbytes() != size:  # a view of more
        return None
    return {storage.data_ptr(): size} if size else {}


def _copied(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_copied, value))
    return value
