"""Takes the inputs of a model apart: where its samples are in them, and the inputs of some samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..outputs import OPAQUE, attributes, flatten
from ..parts import inputs_of, undrawn

Inputs = Mapping[str, object]
Change = Callable[[str, torch.Tensor], torch.Tensor]


def changed(inputs: Inputs, change: Change) -> dict[str, object]:
    """Return the inputs with every tensor in their dicts, lists and tuples replaced by `change(path, tensor)`."""
    return replaced(inputs, lambda path, value: change(path, value) if isinstance(value, torch.Tensor) else value)


def replaced(inputs: Inputs, replace: Callable[[str, Any], object]) -> dict[str, object]:
    """Return the inputs with `replace(path, value)` in place of each value, and generators that draw the same again.

    A dict, list or tuple for which it returns the very same one is a copy with what is in it replaced.
    """
    return {key: _replaced(value, f"inputs.{key}", replace) for key, value in inputs.items()}


def _replaced(value: Any, path: str, replace: Callable[[str, Any], object]) -> object:
    new: Any = undrawn(value) if isinstance(value, torch.Generator) else replace(path, value)
    if new is not value:
        return new
    if isinstance(value, Mapping):
        return {key: _replaced(item, f"{path}.{key}", replace) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_replaced(item, f"{path}.{index}", replace) for index, item in enumerate(value))
    return value


def tensors_of(inputs: Inputs) -> dict[str, torch.Tensor]:
    """Return the tensors of the inputs by their paths, which begin with `inputs.`."""
    return flatten(inputs, "inputs")


def copied(inputs: Inputs) -> dict[str, object]:
    """Return the inputs with a copy of every tensor, laid out as it is."""
    return changed(inputs, lambda path, tensor: tensor.detach().clone())


@dataclass(frozen=True)
class Batched:
    """Where the samples of a batch are in its inputs.

    `axes` has the axis of samples of each tensor that has one, by its path; `lists` the paths of lists and tuples with
    one item for each sample, `numbers` those of the number of samples itself; `joined` says why the samples cannot be
    taken apart, and is None where they can.
    """

    axes: Mapping[str, int]
    lists: frozenset[str]
    numbers: frozenset[str]
    joined: str | None

    @property
    def is_separable(self) -> bool:
        """Whether there are samples, and each can be taken alone."""
        return self.joined is None and bool(self.axes or self.lists)

    def described(self) -> dict[str, object]:
        """Return what the checks ask for: `batched`, the paths, none where nothing can be taken apart; `joined`."""
        paths = [*self.axes, *self.lists] if self.is_separable else []
        return {"batched": list[object](sorted(paths)), "joined": self.joined}


def batched(specs: str, name: str, seed: int, batch_size: int) -> Batched:
    """Return where the samples are: on the axis of a tensor, or in the list, that follows the batch size.

    Two batches are compared, of which one has a sample more. Samples are joined where a size follows the batch that is
    not its own, as the nodes of several graphs do, where several axes of a tensor do, and where what follows it is in
    an object or an array, of which nothing but its owner knows how it is taken apart.
    """
    finding = _Finding((batch_size, batch_size + 1))
    first = inputs_of(specs, name, seed, batch_size)
    finding.compare(first, inputs_of(specs, name, seed, batch_size + 1), "inputs")
    return Batched(finding.axes, frozenset(finding.lists), frozenset(finding.numbers), finding.joined())


class _Finding:
    """What two batches tell, of so many samples each."""

    def __init__(self, sizes: tuple[int, int]) -> None:
        self.axes: dict[str, int] = {}
        self.lists: set[str] = set()
        self.numbers: set[str] = set()
        self._sizes = sizes
        self._lengths: set[tuple[int, int]] = set()
        self._others: list[tuple[str, set[tuple[int, int]]]] = []

    def compare(self, first: object, other: object, path: str) -> None:
        """Note how what stands here differs."""
        if isinstance(first, torch.Tensor) and isinstance(other, torch.Tensor):
            self._compare_tensors(first, other, path)
        elif isinstance(first, Mapping) and isinstance(other, Mapping):
            if first.keys() != other.keys():
                self._joins(f"{path} has other keys for other samples")
            for key in (each for each in first if each in other):
                self.compare(first[key], other[key], f"{path}.{key}")
        elif isinstance(first, list | tuple) and type(first) is type(other) and type(first) in (list, tuple):
            assert isinstance(other, list | tuple)
            if (len(first), len(other)) == self._sizes:
                self.lists.add(path)
            elif len(first) != len(other):
                self._joins(f"{path} has {len(first)} items for {self._sizes[0]} samples")
            else:
                for index, (item, item_of_other) in enumerate(zip(first, other, strict=True)):
                    self.compare(item, item_of_other, f"{path}.{index}")
        elif isinstance(first, torch.Generator):
            self._joins(f"{path} draws for all samples together")
        elif type(first) is int and type(other) is int:
            if (first, other) == self._sizes:
                self.numbers.add(path)
            elif self._is_multiple(first, other):
                self._joins(f"{path} is {first} for {self._sizes[0]} samples")
        elif _form(first, ()) != _form(other, ()):
            self._joins(f"{path}, of {type(first).__name__}, holds what follows the number of samples")

    def joined(self) -> str | None:
        """Return why the samples cannot be taken apart; None where they can.

        A length that differs from batch to batch is none of a batch: a tensor with samples is as long.
        """
        return next((said for said, differing in self._others if not differing or differing - self._lengths), None)

    def _joins(self, said: str) -> None:
        self._others.append((said, set()))

    def _is_multiple(self, first: int, other: int) -> bool:
        """Whether the two are so many for each sample: a number that differs by chance, as a length does, is not."""
        return first > 0 and first * self._sizes[1] == other * self._sizes[0]

    def _compare_tensors(self, first: torch.Tensor, other: torch.Tensor, path: str) -> None:
        if first.is_nested or other.is_nested:
            self._joins(f"{path} is a nested tensor")
            return
        if first.dim() == other.dim() == 0 and not (first.is_floating_point() or first.is_complex()):
            if self._is_multiple(int(first), int(other)):
                self._joins(f"{path} is {int(first)} for {self._sizes[0]} samples")
            return
        pairs = list(zip(first.shape, other.shape, strict=False))
        if pairs.count(self._sizes) == 1 and first.dim() == other.dim():
            self.axes[path] = pairs.index(self._sizes)
            self._lengths.update(pair for pair in pairs if pair != self._sizes)
        elif first.shape != other.shape:
            differing = {pair for pair in pairs if pair[0] != pair[1]} if first.dim() == other.dim() else set()
            self._others.append((f"{path} is {tuple(first.shape)} for {self._sizes[0]} samples", differing))


def _form(value: object, above: tuple[int, ...]) -> object:
    """Return the sizes of what an object holds: of tensors, of arrays, of lists, texts left out."""
    if id(value) in above or isinstance(value, str | bytes | int | float | None):
        return None
    above = (*above, id(value))
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return tuple(shape)
    if isinstance(value, Mapping):
        return {str(key): _form(item, above) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return len(value), [_form(item, above) for item in value]
    if isinstance(value, OPAQUE):
        return None
    return {name: _form(item, above) for name, item in attributes(value)}


def chosen(inputs: Inputs, where: Batched, samples: Sequence[int]) -> dict[str, object]:
    """Return the inputs of these samples, in this order; what does not follow the batch is given whole."""

    def choose(path: str, value: Any) -> object:
        if path in where.axes:
            return value.index_select(where.axes[path], torch.tensor(samples, device=value.device))
        if path in where.lists:
            return type(value)(value[sample] for sample in samples)
        return len(samples) if path in where.numbers else value

    return replaced(inputs, choose)


def forms_of_samples(inputs: Inputs, where: Batched, size: int) -> list[list[object]]:
    """Return the sizes of each sample in the lists of a batch: where they differ, one does not fit in another's place.

    Samples of a tensor are as large as each other.
    """
    found: list[list[object]] = [[] for _ in range(size)]

    def note(path: str, value: Any) -> object:
        if path in where.lists:
            for forms, item in zip(found, value, strict=True):
                forms.append(_form(item, ()))
        return value

    replaced(inputs, note)
    return found


def lists_of_samples(counts: Sequence[Mapping[str, int]], batch_sizes: Sequence[int]) -> list[str]:
    """Return the paths of lists with one item for each sample, of the `lengths` of the outputs of all these batches."""
    return sorted(path for path in counts[0] if [each.get(path) for each in counts] == list(batch_sizes))


def item_path(path: str, lists: Sequence[str], item: str) -> str | None:
    """Return a path with `item` as the number of what is in one of the lists; None where it is in none of them."""
    for each in lists:
        if path.startswith(f"{each}."):
            _, _, rest = path.removeprefix(f"{each}.").partition(".")
            return ".".join(filter(None, (each, item, rest)))
    return None


def in_dtype(inputs: Inputs, dtype: torch.dtype) -> dict[str, object]:
    """Return the inputs with every real floating-point tensor in `dtype`."""
    return changed(inputs, lambda path, tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
