"""Builds, runs, differentiates and deletes a model again and again, and counts the tensors that stay."""

import gc

import torch

from .parts import built, model_loss
from .phases import phase

_FIRST = 2  # rounds that may leave something: tables that are made once and kept
_ROUNDS = 6
_STEPS = 3


def memory(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Return the number and the bytes of the tensors that are alive after each of several equal rounds.

    What was there before the rounds that are counted is left out: the collector need not go through it. `graphs` are
    the numbers of those that are part of a graph, after each of some steps of one model.
    """
    for _ in range(_FIRST):
        _round(specs, name, seed, batch_size)
    gc.freeze()
    try:
        tensors, sizes = [], []
        for _ in range(_ROUNDS):
            _round(specs, name, seed, batch_size)
            gc.collect()
            alive = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
            tensors.append(len(alive))
            sizes.append(sum({_place(each): _bytes(each) for each in alive}.values()))
            del alive
    finally:
        gc.unfreeze()
    return {"tensors": tensors, "bytes": sizes, "graphs": _graphs(specs, name, seed, batch_size)}


def _graphs(specs: str, name: str, seed: int, batch_size: int) -> list[int]:
    """Return how many tensors hold a graph after each step of one model; what it keeps without one may be a history."""
    model = built(specs, name, seed).train()
    counts: list[int] = []
    gc.freeze()
    try:
        for _ in range(_FIRST + _STEPS):
            model.zero_grad()
            _step(model, specs, name, seed, batch_size)
            gc.collect()
            alive = (each for each in gc.get_objects() if issubclass(type(each), torch.Tensor))
            counts.append(sum(each.grad_fn is not None for each in alive))
    finally:
        gc.unfreeze()
    return counts[_FIRST:]


def _round(specs: str, name: str, seed: int, batch_size: int) -> None:
    _step(built(specs, name, seed).train(), specs, name, seed, batch_size)


def _step(model: torch.nn.Module, specs: str, name: str, seed: int, batch_size: int) -> None:
    loss = model_loss(model, specs, name, seed, batch_size)
    with phase("backward"):
        loss.backward()  # type: ignore[no-untyped-call]


def _place(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # a sparse tensor has no memory of its own
        return id(tensor)


def _bytes(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage().nbytes()
    except (RuntimeError, NotImplementedError):
        return tensor.numel() * tensor.element_size()
