"""Builds, runs, differentiates and deletes a model again and again, and counts the tensors that stay."""

import gc

import torch

from .parts import built, model_loss
from .phases import phase

_FIRST = 2  # rounds that may leave something: tables that are made once and kept
_ROUNDS = 6


def memory(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Return the number and the bytes of the tensors that are alive after each of several equal rounds.

    What was there before the rounds that are counted is left out: the collector need not go through it.
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
    return {"tensors": tensors, "bytes": sizes}


def _round(specs: str, name: str, seed: int, batch_size: int) -> None:
    model = built(specs, name, seed).train()
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
