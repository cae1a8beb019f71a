"""Builds models on the meta device and in poisoned memory, and measures the loss that they begin with."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils import deterministic

from . import specs as specs_
from .calling import called
from .outputs import replaced
from .parts import SpecError, built, identity, inputs_of, loss_of
from .phases import phase

# Bound before the target's code runs, like those in `tensors`.
_isnan = torch.isnan
_isfinite = torch.isfinite
_sum = torch.sum
_item = torch.Tensor.item
_empty = torch.empty

_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
_BATCHES = 8


def meta_build(specs: str, name: str, seed: int) -> dict[str, object]:
    """Build the model as always and on the meta device; return the dtype and shape of each parameter and buffer.

    `real` names the parameters of the second that have memory all the same. Buffers may: a constant that NumPy made is
    on no device of torch's.
    """
    first = built(specs, name, seed)
    usual = _tensors_of(first)
    spec = specs_.entry(specs, "MODELS", name)
    specs_.seed_everything(seed)
    with phase("build on meta"), torch.device("meta"):
        model = specs_.function(spec, "build")()
        if not isinstance(model, nn.Module):
            raise SpecError(f"'build' returned {type(model).__name__}, not a torch.nn.Module")
    real = [key for key, parameter in model.named_parameters() if parameter.device.type != "meta"]
    return {
        **identity(first),
        "class": identity(model)["class"],
        "usual": {key: _form(tensor) for key, tensor in usual.items()},
        "meta": {key: _form(tensor) for key, tensor in _tensors_of(model).items()},
        "real": real,
    }


def state_forms(specs: str, name: str, seed: int) -> dict[str, object]:
    """Build the model; return the dtype and shape of each tensor of its state dict as `forms`."""
    model = built(specs, name, seed)
    with phase("state_dict"):
        state = model.state_dict()
    forms = {str(key): _form(value) for key, value in state.items() if isinstance(value, torch.Tensor)}
    return {**identity(model), "forms": forms}


def initialisation(specs: str, name: str, seed: int) -> dict[str, object]:
    """Build the model in memory that holds NaN, or the largest integer; tell what of it is still there.

    Returns:
        `tensors`: of each parameter and buffer, its number of elements, how many hold the `poison` and how many are
        wrong in a build in memory as it is (`nonfinite`: NaN, and in a parameter infinity too; a mask may be infinite).
        `layers`: of each linear or convolutional layer with a weight to train, its root mean square, fans and elements.
        `poisons`: whether memory could be poisoned at all.
    """
    with _poisoned_memory():
        poisons = bool(_item(_sum(_isnan(_empty(8)))) == 8)
        poisoned = _tensors_of(built(specs, name, seed))
    model = built(specs, name, seed)
    parameters = {key for key, _ in model.named_parameters(remove_duplicate=False)}
    tensors = {}
    for key, tensor in _tensors_of(model).items():
        if _has_memory(tensor):
            other = poisoned.get(key)
            tensors[key] = {
                "elements": tensor.numel(),
                "nonfinite": _wrong(tensor, is_parameter=key in parameters),
                "poison": 0 if other is None or not _has_memory(other) else _poison_left(other, tensor),
            }
    return {"tensors": tensors, "layers": dict(_layers(model)), "poisons": poisons}


def initial_loss(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Return the losses of a new model on several batches, and of what it would be without knowledge.

    `silent` are the losses where every output that depends on the parameters is zero, `noise` where it is standard
    normal: by how much they differ is what outputs of the usual size at the beginning may change the loss.
    """
    model = built(specs, name, seed).train()
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[float]] = {"losses": [], "silent": [], "noise": []}

    def normal(tensor: torch.Tensor) -> torch.Tensor:
        return torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.device, tensor.dtype)

    for batch in range(_BATCHES):
        inputs = inputs_of(specs, name, seed + batch, batch_size)
        with phase("forward"):
            output = called(model, inputs)  # with gradients: they tell what depends on the parameters
        found["losses"].append(float(loss_of(specs, name, output, inputs).detach()))
        with phase("loss of replaced outputs"), torch.no_grad():
            for key, make in (("silent", torch.zeros_like), ("noise", normal)):
                without = replaced(output, functools.partial(_in_place_of, make))
                found[key].append(float(loss_of(specs, name, without, inputs).detach()))
    return dict(found)


def _tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = dict(model.named_parameters(remove_duplicate=False))
    found.update(model.named_buffers(remove_duplicate=False))
    return found


def _has_memory(tensor: torch.Tensor) -> bool:
    return not is_lazy(tensor) and tensor.device.type != "meta"


def _form(tensor: torch.Tensor) -> str:
    if is_lazy(tensor):
        return "not yet known"
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


@contextmanager
def _poisoned_memory() -> Iterator[None]:
    """Have torch fill memory that nothing has been written to with NaN, and integers with their largest value."""
    # Not by use_deterministic_algorithms, which does the same and loads torch's compiler: a second for each model.
    fills, mode = deterministic.fill_uninitialized_memory, torch.get_deterministic_debug_mode()  # type: ignore[attr-defined]
    deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    torch.set_deterministic_debug_mode("warn")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]


def _is_number(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _wrong(tensor: torch.Tensor, *, is_parameter: bool) -> int:
    if not _is_number(tensor) or not tensor.numel():
        return 0
    return int(_item(_sum(~_isfinite(tensor) if is_parameter else _isnan(tensor))))


def _poison_left(poisoned: torch.Tensor, usual: torch.Tensor) -> int:
    """Return how many elements hold the poison, less those that hold the same without it."""
    if not poisoned.numel() or poisoned.dtype == torch.bool:  # True is a value like another
        return 0
    if _is_number(poisoned):
        return max(0, int(_item(_sum(_isnan(poisoned)))) - int(_item(_sum(_isnan(usual)))))
    largest = torch.iinfo(poisoned.dtype).max
    return max(0, int(_item(_sum(poisoned == largest))) - int(_item(_sum(usual == largest))))


def _layers(model: nn.Module) -> Iterator[tuple[str, dict[str, object]]]:
    for name, module in model.named_modules():
        weight = getattr(module, "_parameters", {}).get("weight") if isinstance(module, _LAYERS) else None
        if weight is None or not weight.requires_grad or not _has_memory(weight) or not weight.numel():
            continue
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
        mean_square = _item(torch.mean(weight.detach().abs().double() ** 2))
        yield (
            name,
            {
                "rms": float(mean_square) ** 0.5,
                "fan_in": int(fan_in),
                "fan_out": int(fan_out),
                "elements": weight.numel(),
            },
        )


def _in_place_of(make: Callable[[torch.Tensor], torch.Tensor], _: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return what `make` gives for a tensor that depends on the parameters; any other is left."""
    return make(tensor) if tensor.requires_grad and _is_number(tensor) else tensor
