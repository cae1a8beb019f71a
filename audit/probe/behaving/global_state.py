"""What a forward pass leaves changed outside of its output: settings of torch, random numbers, the model's own mode."""

import random
import sys
from collections.abc import Callable, Mapping

import torch

from .. import specs as specs_
from ..calling import called
from ..parts import built, inputs_of, loss_of
from ..phases import phase

# Each setting of the process that torch code can change, how it is read, and how it is put back.
_SETTINGS: dict[str, tuple[Callable[[], object], Callable[..., object]]] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (
        torch.get_default_device,
        lambda value: torch.set_default_device(None if value == torch.device("cpu") else value),
    ),
    "gradients enabled": (torch.is_grad_enabled, torch.set_grad_enabled),
    "autocast on CPUs": (
        lambda: torch.is_autocast_enabled("cpu"),
        lambda value: torch.set_autocast_enabled("cpu", value),
    ),
    "autocast on GPUs": (
        lambda: torch.is_autocast_enabled("cuda"),
        lambda value: torch.set_autocast_enabled("cuda", value),
    ),
    "deterministic algorithms": (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "precision of float32 products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "anomaly detection": (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    "flash kernel of torch's attention": (
        torch.backends.cuda.flash_sdp_enabled,
        torch.backends.cuda.enable_flash_sdp,
    ),
    "memory-efficient kernel of torch's attention": (
        torch.backends.cuda.mem_efficient_sdp_enabled,
        torch.backends.cuda.enable_mem_efficient_sdp,
    ),
    "plain kernel of torch's attention": (torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp),
    "cudnn.benchmark": (
        lambda: torch.backends.cudnn.benchmark,
        lambda value: setattr(torch.backends.cudnn, "benchmark", value),
    ),
}


def global_state(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Run the model in eval mode, then a training step's forward, loss and backward, and look at what is left changed.

    Afterwards the settings are as they were, for the models that this process serves next.

    Returns:
        `changed`: by setting, in words from what to what. `reseeded`: the generators of random numbers whose next
        number does not depend on what they were seeded with before. `raised`: the exception of the training step.
    """
    model = built(specs, name, seed).eval()
    inputs = inputs_of(specs, name, seed, batch_size, anew=True)
    before = _settings()
    changed: dict[str, str] = {}
    reseeded: list[str] = []
    raised = ""
    try:
        with phase("forward"):
            called(model, inputs)
        _note(changed, before, model, "forward in eval mode")
        try:
            _step(model, specs, name, inputs, changed, before)
            reseeded = _reseeded(model, specs, name, seed, batch_size)
        except Exception as error:  # what else judges training says so
            raised = type(error).__name__
    finally:
        _put_back(before)
    return {"changed": changed, "reseeded": list[object](reseeded), "raised": raised}


def _step(
    model: torch.nn.Module,
    specs: str,
    name: str,
    inputs: Mapping[str, object],
    changed: dict[str, str],
    before: dict[str, object],
) -> None:
    model.train()
    with phase("forward"):
        output = called(model, inputs)
    _note(changed, before, model, "forward in train mode")
    loss = loss_of(specs, name, output, inputs)
    if loss.requires_grad:
        with phase("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
    _note(changed, before, model, "the loss or backward")


def _settings() -> dict[str, object]:
    return {key: read() for key, (read, _) in _SETTINGS.items()}


def _put_back(before: dict[str, object]) -> None:
    for key, (read, write) in _SETTINGS.items():
        if read() != before[key]:
            write(before[key])


def _note(changed: dict[str, str], before: dict[str, object], model: torch.nn.Module, by: str) -> None:
    """Say what differs, each once and by what came first."""
    for key, value in _settings().items():
        if value != before[key]:
            changed.setdefault(key, f"from {before[key]} to {value}, by {by}")
    if model.training == (by == "forward in eval mode"):
        changed.setdefault("mode of the model", f"to {'train' if model.training else 'eval'}, by {by}")


def _reseeded(model: torch.nn.Module, specs: str, name: str, seed: int, batch_size: int) -> list[str]:
    """Return the generators that two passes, which began with other seeds, leave in one state."""
    states: list[dict[str, object]] = []
    for each in (seed + 1, seed + 2):
        inputs = inputs_of(specs, name, seed, batch_size, anew=True)
        specs_.seed_everything(each)
        model.train()
        with phase("forward"):
            called(model, inputs)
        states.append(_generators())
    first, second = states
    return [key for key in first if first[key] == second.get(key)]


def _generators() -> dict[str, object]:
    found: dict[str, object] = {"torch": bytes(torch.get_rng_state().tolist()), "random": random.getstate()}
    if "numpy.random" in sys.modules:
        found["numpy.random"] = sys.modules["numpy.random"].get_state()[1].tobytes()
    return found
