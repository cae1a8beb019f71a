"""What a model accepts, taken from its card and its sample inputs, and the check of everything that comes from outside.

Only here do values from outside become tensors. Each is of the type that the model expects, finite, of the right
shape and within the range of the card, or the error says which is not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from astrobio.registry import RegisteredModel
from astrobio.training.errors import UsageError


class InputError(UsageError):
    """What of an input is wrong: which, where, and what was expected."""


@dataclass(frozen=True)
class InputSpec:
    """One input of a model.

    Attributes:
        name: of the argument of `forward`.
        shape: size of every dimension; None where it may be any from 1 on.
        batch_dim: the dimension that counts samples, or None.
        dtype: what the model expects.
        columns: what the last dimension holds, or empty.
        ranges: lowest and highest value, one pair per column, or one for all, or empty.
        units: unit of the whole input or of each column, for messages.
    """

    name: str
    shape: tuple[int | None, ...]
    batch_dim: int | None
    dtype: torch.dtype
    columns: tuple[str, ...]
    ranges: tuple[tuple[float, float] | None, ...]
    units: tuple[str, ...]

    def described(self) -> dict[str, object]:
        """The same for a client."""
        names = self.columns or (self.name,)
        return {
            "shape": ["batch" if index == self.batch_dim else size for index, size in enumerate(self.shape)],
            "dtype": str(self.dtype).removeprefix("torch."),
            "columns": list(self.columns),
            "ranges": {name: list(pair) for name, pair in zip(names, self.ranges, strict=True) if pair is not None},
            "units": dict(zip(names, self.units, strict=True)),
        }


def input_specs(entry: RegisteredModel) -> tuple[InputSpec, ...]:
    """The inputs of a registered model.

    A dimension that grows with the batch of its sample inputs counts samples; one that varies otherwise may have any
    size; all others are fixed.
    """
    two, three, again = (
        entry.sample_inputs(size, torch.Generator().manual_seed(seed)) for size, seed in ((2, 0), (3, 0), (2, 1))
    )
    specs = []
    for name, first in two.items():
        others = three[name], again[name]
        sizes = list(zip(first.shape, *(other.shape for other in others), strict=True))
        batch_dim = next((index for index, size in enumerate(sizes) if size == (2, 3, 2)), None)
        free = entry.card.free_dims.get(name, ())
        shape = tuple(
            None if index in free or index == batch_dim or len(set(size)) > 1 else size[0]
            for index, size in enumerate(sizes)
        )
        columns = entry.card.columns.get(name, ())
        names = columns or (name,)
        specs.append(
            InputSpec(
                name=name,
                shape=shape,
                batch_dim=batch_dim,
                dtype=first.dtype,
                columns=columns,
                ranges=tuple(entry.card.ranges.get(each) for each in names),
                units=tuple(entry.card.units.get(each, "") for each in names),
            )
        )
    return tuple(specs)


def tensors_from_values(values: object, specs: Sequence[InputSpec]) -> dict[str, Tensor]:
    """Checked tensors from what JSON holds: an object with a nested list per input.

    Raises:
        InputError: an input is missing, unknown, not a full nested list of numbers, or refused by `checked`.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"the inputs must be an object with: {_listed(specs)}")
    _require_names(values, specs)
    return checked({spec.name: _tensor_from_list(values[spec.name], spec) for spec in specs}, specs)


def checked(tensors: Mapping[str, Tensor], specs: Sequence[InputSpec]) -> dict[str, Tensor]:
    """The tensors in the types that the model expects.

    Raises:
        InputError: an input is missing, unknown, of another kind of number or shape, not finite or out of range, or the
            inputs differ in their number of samples.
    """
    _require_names(tensors, specs)
    result = {}
    for spec in specs:
        tensor = tensors[spec.name]
        _require_shape(tensor, spec)
        _require_kind(tensor, spec)
        _require_values(tensor, spec)
        result[spec.name] = tensor.to(spec.dtype)
        _require_finite(result[spec.name], spec)  # 1e39 is finite, and infinite in float32
    num_samples(result, specs)
    return result


def num_samples(tensors: Mapping[str, Tensor], specs: Sequence[InputSpec]) -> int:
    """How many samples the inputs hold; 1 where no dimension counts them.

    Raises:
        InputError: the inputs differ.
    """
    sizes = {spec.name: tensors[spec.name].shape[spec.batch_dim] for spec in specs if spec.batch_dim is not None}
    if len(set(sizes.values())) > 1:
        raise InputError(
            "the inputs differ in their number of samples: " + ", ".join(f"{k} {v}" for k, v in sizes.items())
        )
    return next(iter(sizes.values()), 1)


def _tensor_from_list(value: object, spec: InputSpec) -> Tensor:
    _require_list(value, spec, depth=0, where=spec.name)
    dtype = torch.float64 if spec.dtype.is_floating_point else spec.dtype  # ranges are checked before rounding
    try:
        return torch.tensor(value, dtype=dtype)
    except (OverflowError, RuntimeError, ValueError) as error:  # which of them depends on the type
        raise InputError(f"{spec.name} holds a number that is too large") from error


def _require_list(value: object, spec: InputSpec, *, depth: int, where: str) -> None:
    if depth < len(spec.shape):
        if not isinstance(value, list) or not value:
            got = "an empty list" if value == [] else f"{value!r:.40}"
            raise InputError(f"{where} is {got}; expected a list{_levels(spec, depth)}")
        for index, each in enumerate(value):
            _require_list(each, spec, depth=depth + 1, where=f"{where}[{index}]")
            if depth + 1 < len(spec.shape) and len(each) != len(value[0]):
                raise InputError(f"{where}[{index}] has length {len(each)}, {where}[0] has {len(value[0])}")
        return
    wanted, kinds = _kinds(spec.dtype)
    if isinstance(value, bool) is not (spec.dtype is torch.bool) or not isinstance(value, kinds):
        raise InputError(f"{where} is {value!r:.40}; expected {wanted}")


def _kinds(dtype: torch.dtype) -> tuple[str, tuple[type, ...]]:
    if dtype is torch.bool:
        return "true or false", (bool,)
    return ("a number", (int, float)) if dtype.is_floating_point else ("a whole number", (int,))


def _levels(spec: InputSpec, depth: int) -> str:
    return f", {len(spec.shape)} levels deep" if depth == 0 else ""


def _require_names(given: Mapping[str, object], specs: Sequence[InputSpec]) -> None:
    wanted = [spec.name for spec in specs]
    if missing := [name for name in wanted if name not in given]:
        raise InputError(f"{missing[0]} is missing; the inputs are: {_listed(specs)}")
    if unknown := [name for name in given if name not in wanted]:
        raise InputError(f"there is no input {unknown[0]!r:.60}; the inputs are: {_listed(specs)}")


def _require_shape(tensor: Tensor, spec: InputSpec) -> None:
    fits = tensor.dim() == len(spec.shape) and all(
        size >= 1 and size == (size if wanted is None else wanted)
        for size, wanted in zip(tensor.shape, spec.shape, strict=True)
    )
    if not fits:
        wanted = ["batch" if i == spec.batch_dim else "any" if s is None else str(s) for i, s in enumerate(spec.shape)]
        columns = f" with columns {', '.join(spec.columns)}" if spec.columns else ""
        raise InputError(f"{spec.name} has shape {tuple(tensor.shape)}; expected ({', '.join(wanted)}){columns}")


def _require_kind(tensor: Tensor, spec: InputSpec) -> None:
    def kind(dtype: torch.dtype) -> str:
        if dtype is torch.bool:
            return "booleans"
        return "floating-point numbers" if dtype.is_floating_point else "complex" if dtype.is_complex else "integers"

    if kind(tensor.dtype) != kind(spec.dtype):
        raise InputError(f"{spec.name} holds {kind(tensor.dtype)} ({tensor.dtype}); expected {kind(spec.dtype)}")


def _require_values(tensor: Tensor, spec: InputSpec) -> None:
    _require_finite(tensor, spec)
    for column, pair in enumerate(spec.ranges):
        if pair is None:
            continue
        values = tensor[..., column] if spec.columns else tensor
        # In the type of the values: 0.3 in float32 is above 0.3.
        low, high = (torch.tensor(bound, dtype=values.dtype) for bound in pair)
        if (bad := ((values < low) | (values > high)).nonzero()).numel():
            where = tuple(bad[0].tolist())
            quantity = f".{spec.columns[column]}" if spec.columns else ""
            place = "".join(f"[{index}]" for index in where)
            unit = f" {spec.units[column]}" if spec.units[column] not in ("", "1") else ""
            raise InputError(
                f"{spec.name}{place}{quantity} is {values[where].item():g}, outside the range of the model, "
                f"{pair[0]:g} to {pair[1]:g}{unit}"
            )


def _require_finite(tensor: Tensor, spec: InputSpec) -> None:
    if tensor.is_floating_point() and (bad := (~tensor.isfinite()).nonzero()).numel():
        place = "".join(f"[{index}]" for index in bad[0].tolist())
        value = tensor[tuple(bad[0].tolist())].item()
        told = "not a number" if math.isnan(value) else "too large, or infinite"
        raise InputError(f"{spec.name}{place} is {told}; expected a finite number")


def _listed(specs: Sequence[InputSpec]) -> str:
    return ", ".join(spec.name for spec in specs)
