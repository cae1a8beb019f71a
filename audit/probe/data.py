"""Reads the target's data sets: their items, with and without worker processes, in several orders, and their splits."""

import hashlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import torch
from torch.utils import data

from . import specs as specs_
from .named import named
from .outputs import flatten
from .parts import SpecError
from .phases import phase
from .tensors import digest

# Bound before the target's code runs, like those in `tensors`.
_isfinite = torch.isfinite
_sum = torch.sum
_item = torch.Tensor.item

_MOST = 32  # items that are read of one data set
_BATCH = 4
_WORKERS = 2
_MOST_INSIDE = 64  # data sets in a data set


def items(specs: str, name: str, seed: int) -> dict[str, object]:
    """Read the first items of a data set twice.

    Returns:
        `class`: of what was built, and whether it `is_declared`; `length`: what `len` says, None of one that has none;
        `read` and `again`: how many items there were each time, at most a limit; `complete`: whether the limit was not
        reached; `tensors`: in the items; `different`: items that differ; `nonfinite`: elements that are NaN or
        infinite, by the item and where it holds them; `changed`: items that were others when they were read again.
        Where the length says that there are more items, the last one is read too.
    """
    dataset, item = _opened(specs, name, seed)
    length = _length(dataset)
    with phase("read"):
        first = list(_read(dataset, item))
        again = [_digest(each) for each in _read(dataset, item)]
        if length is not None and length > len(first) and not _is_iterated(dataset):
            item(dataset, length - 1)
    tensors = [flatten(_tensored(each), f"item {index}") for index, each in enumerate(first)]
    wrong = {
        key: int(_item(_sum(~_isfinite(tensor))))
        for each in tensors
        for key, tensor in each.items()
        if tensor.is_floating_point() and tensor.numel() and not bool(_item(_isfinite(tensor).all()))
    }
    changed = [index for index, (one, two) in enumerate(zip(first, again, strict=False)) if _digest(one) != two]
    return {
        "class": f"{type(dataset).__module__}:{type(dataset).__qualname__}",
        "is_declared": _is_declared(dataset, str(specs_.entry(specs, "DATA", name)["class"])),
        "length": length,
        "read": len(first),
        "again": len(again),
        "complete": len(first) < _MOST,
        "tensors": sum(map(len, tensors)),
        "different": len({_digest(each) for each in first}),
        "nonfinite": wrong,
        "changed": changed,
    }


def workers(specs: str, name: str, seed: int) -> dict[str, object]:
    """Read the first items through a loader, in this process and in two others; return their digests in order."""
    reply: dict[str, object] = {}
    dataset, item = _opened(specs, name, seed)
    if _is_unsized(dataset):
        return {"unsized": True}
    for number in (0, _WORKERS):
        with phase(f"loading with {number} workers"):
            reply[str(number)] = _loaded(dataset, item, num_workers=number)
    return {**reply, "in_order": not _is_iterated(dataset)}


def order(specs: str, name: str, seed: int) -> dict[str, object]:
    """Shuffle the first items under one seed twice and under two others; return their digests in order."""
    dataset, item = _opened(specs, name, seed)
    if _is_iterated(dataset) or _is_unsized(dataset):
        return {"iterated": _is_iterated(dataset), "unsized": _is_unsized(dataset)}
    reply: dict[str, object] = {"iterated": False, "plain": _loaded(dataset, item)}
    for key, each in (("first", seed), ("again", seed), ("second", seed + 1), ("third", seed + 2)):
        with phase("shuffling"):
            reply[key] = _loaded(dataset, item, shuffle_seed=each)
    return reply


def splits(specs: str, name: str, seed: int) -> dict[str, object]:
    """Return the digests of the items of each split, at most the limit of each, and how many items each has."""
    spec = specs_.entry(specs, "DATA", name)
    item = cast("Callable[[object, int], object]", spec.get("item", _subscripted))
    specs_.seed_everything(seed)
    with phase("splits"):
        parts = specs_.function(spec, "splits")()
        if not isinstance(parts, Mapping) or not all(isinstance(key, str) for key in parts):
            raise SpecError(f"'splits' must return a dict of data sets by their names, not {type(parts).__name__}")
        for key, dataset in parts.items():
            if not (hasattr(dataset, "__getitem__") or hasattr(dataset, "__iter__")):
                raise SpecError(f"'splits' gives {key!r} as {type(dataset).__name__}, which is no data set")
    found: dict[str, object] = {}
    for key, dataset in parts.items():
        with phase("read"):
            found[key] = [_digest(each) for each in _read(dataset, item, most=None)]
    return {"splits": found}


class _Items(data.Dataset[object]):
    """The first items of a data set that is read by number."""

    def __init__(self, dataset: object, item: Callable[[object, int], object]) -> None:
        self._dataset, self._item = dataset, item

    def __len__(self) -> int:
        return min(_length(self._dataset) or 0, _MOST)

    def __getitem__(self, index: int) -> object:
        return self._item(self._dataset, index)


def _opened(specs: str, name: str, seed: int) -> tuple[object, Callable[[object, int], object]]:
    spec = specs_.entry(specs, "DATA", name)
    specs_.seed_everything(seed)
    with phase("build"):
        dataset = specs_.function(spec, "build")()
    return dataset, cast("Callable[[object, int], object]", spec.get("item", _subscripted))


def _subscripted(dataset: object, index: int) -> object:
    return cast("Sequence[object]", dataset)[index]


def _is_iterated(dataset: object) -> bool:
    return isinstance(dataset, data.IterableDataset) or not hasattr(dataset, "__getitem__")


def _is_unsized(dataset: object) -> bool:
    """Whether it is read by number and does not say how many items there are: no loader has a sampler for that."""
    return not _is_iterated(dataset) and _length(dataset) is None


def _is_declared(dataset: object, declared: str) -> bool:
    """Whether a data set is of the class that is declared, holds one that is, like `Subset`, or is a list of such.

    What a function gives that is declared in the place of a class is whatever it gives.
    """
    found = named(declared)
    if not isinstance(found, type):
        return True
    pending = [dataset]
    for _ in range(_MOST_INSIDE):
        if not pending:
            return False
        each = pending.pop()
        of_items = each[:_MOST] if isinstance(each, list | tuple) else []
        if isinstance(each, found) or (of_items and all(isinstance(item, found) for item in of_items)):
            return True
        inner = getattr(each, "dataset", None), *(getattr(each, "datasets", None) or ())
        pending += [one for one in inner if one is not None]
    return False


def _length(dataset: object) -> int | None:
    if not hasattr(dataset, "__len__"):
        return None
    with phase("length"):
        try:
            return len(dataset)
        except (TypeError, NotImplementedError):
            if _is_iterated(dataset):  # such a one need not know
                return None
            raise


def _read(dataset: object, item: Callable[[object, int], object], *, most: int | None = _MOST) -> Iterator[object]:
    if _is_iterated(dataset):
        yield from itertools.islice(iter(cast("data.IterableDataset[object]", dataset)), most)
        return
    length = _length(dataset)
    ends = min(each for each in (length, most, sys.maxsize) if each is not None)
    for index in range(ends):
        try:
            each = item(dataset, index)
        except IndexError:
            if length is None:  # where it ends is told as of any sequence
                return
            raise
        yield each


def _loaded(
    dataset: object,
    item: Callable[[object, int], object],
    *,
    num_workers: int = 0,
    shuffle_seed: int | None = None,
) -> list[str]:
    """Return the digests of the items that a loader gives. Batches are lists: items may differ in their sizes."""
    is_iterated = _is_iterated(dataset)
    loader: data.DataLoader[object] = data.DataLoader(
        cast("data.Dataset[object]", dataset if is_iterated else _Items(dataset, item)),
        batch_size=_BATCH,
        num_workers=num_workers,
        collate_fn=list,
        shuffle=None if is_iterated else shuffle_seed is not None,
        generator=torch.Generator().manual_seed(shuffle_seed or 0),
        multiprocessing_context="fork" if num_workers else None,
    )
    given = itertools.chain.from_iterable(cast("Iterator[list[object]]", iter(loader)))
    return [_digest(each) for each in itertools.islice(given, 2 * _MOST if is_iterated else None)]


def _digest(value: object) -> str:
    """Return a text that is the same for items with the same tensors, numbers and words."""
    tensors = {key: digest(tensor) for key, tensor in flatten(_tensored(value), "").items()}
    return hashlib.sha256(repr((sorted(tensors.items()), _rest(value))).encode("utf-8", "backslashreplace")).hexdigest()


def _tensored(value: object) -> object:
    """Return the value with arrays and images as tensors, where they hold numbers."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        return {key: _tensored(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tensored(item) for item in value]
    if hasattr(value, "__array__") and not isinstance(value, type):
        array = value.__array__().copy()  # its own: a tensor of an array that cannot be written to warns
        return torch.from_numpy(array) if array.dtype.kind in "biufc" and array.dtype.isnative else array.tolist()
    return value


def _rest(value: object) -> object:
    """Return the numbers and words of an item."""
    if isinstance(value, Mapping):
        return [(str(key), _rest(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_rest(item) for item in value]
    if hasattr(value, "__array__") and not isinstance(value, torch.Tensor):
        return _rest(_tensored(value))
    return value if isinstance(value, int | float | str | bytes | bool) else None
