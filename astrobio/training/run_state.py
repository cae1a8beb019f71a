"""All that a run consists of beside its data, taken apart into tensors and JSON and put together again, bit for bit."""

import json
import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from astrobio.training.distributed import Ranks

Json = dict[str, Any]  # what json.dumps takes; its floats come back as the same bits

_MODEL = "model."
_OPTIMIZER = "optimizer."
_RANDOM = "random."


@contextmanager
def own_random_state(seed: int, device: torch.device) -> Iterator[None]:
    """Seed Python's and torch's global generators, and give them back as they were."""
    devices = [device.index] if device.type == "cuda" else []
    python_state = random.getstate()
    with torch.random.fork_rng(devices=devices):
        random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)


def captured(
    model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, ranks: Ranks
) -> tuple[dict[str, Tensor], Json]:
    """(tensors, the rest as JSON) of a run between two steps; every rank calls it, each gets the same."""
    tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    described = optimizer.state_dict()
    scalars: Json = {}
    for index, slots in described["state"].items():
        for slot, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"{_OPTIMIZER}{index}.{slot}"] = value
            else:
                scalars.setdefault(str(index), {})[slot] = value
    python_states = []
    for rank, (python_state, random_tensors) in enumerate(ranks.gathered(_random_state(ranks.device))):
        python_states.append(python_state)
        tensors.update({f"{_RANDOM}{rank}.{name}": tensor for name, tensor in random_tensors.items()})
    rest: Json = {
        "optimizer": {"param_groups": described["param_groups"], "scalars": scalars},
        "scaler": scaler.state_dict(),
        "python_random": python_states,
    }
    # Copies: safetensors refuses tensors that share memory, and tied weights do.
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, rest


def restore(
    tensors: Mapping[str, Tensor],
    rest: Json,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    ranks: Ranks,
) -> None:
    """Set model, optimiser, scaler and this rank's random generators to what `captured` saw.

    Raises:
        ValueError: the checkpoint is not one of this model and optimiser, or holds nonsense.
    """
    try:
        load_weights(model, tensors)
        _restore_optimizer(tensors, rest["optimizer"], optimizer)
        scaler.load_state_dict(_numbers(rest["scaler"]))
        version, words, gauss = rest["python_random"][ranks.rank]
        random.setstate((version, tuple(words), gauss))
        torch.set_rng_state(tensors[f"{_RANDOM}{ranks.rank}.cpu"])
        if ranks.device.type == "cuda":
            torch.cuda.set_rng_state(tensors[f"{_RANDOM}{ranks.rank}.cuda"], ranks.device)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{told:.200}") from error


def _restore_optimizer(tensors: Mapping[str, Tensor], described: Json, optimizer: torch.optim.Optimizer) -> None:
    slots: dict[int, dict[str, object]] = {int(index): dict(each) for index, each in described["scalars"].items()}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, _, slot = name.removeprefix(_OPTIMIZER).partition(".")
            slots.setdefault(int(index), {})[slot] = tensor
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, values in slots.items():
        for slot, value in values.items():
            shape = () if slot == "step" else parameters[number].shape
            if not isinstance(value, Tensor) or value.shape != shape:
                raise ValueError(f"the optimiser's {slot} of parameter {number} does not fit it")
    optimizer.load_state_dict({"state": slots, "param_groups": _own_groups(optimizer, described["param_groups"])})


def _own_groups(optimizer: torch.optim.Optimizer, groups: list[Json]) -> list[Json]:
    """The settings that the optimiser was built with, which must be those of `groups`; every step sets the rate."""
    own: list[Json] = optimizer.state_dict()["param_groups"]
    for mine, group in zip(own, groups, strict=True):
        for name, value in json.loads(json.dumps(mine)).items():  # as JSON: lists for tuples
            if name != "lr" and group.get(name, value) != value:  # another version of torch may have others
                raise ValueError(f"the optimiser's {name} is not that of this run")
    return own


def _numbers(values: Json) -> Json:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} is not a number")
    return values


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load the model's part of a checkpoint.

    Raises:
        RuntimeError: the checkpoint is one of another model; torch's message lists what differs.
    """
    model.load_state_dict({name.removeprefix(_MODEL): t for name, t in tensors.items() if name.startswith(_MODEL)})


def _random_state(device: torch.device) -> tuple[object, dict[str, Tensor]]:
    tensors = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    return random.getstate(), tensors
