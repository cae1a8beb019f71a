"""Steps that are taken again, from the beginning or from a checkpoint; on a GPU, with what rounding makes of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .. import devices
from .loop import Loop
from .problem import problem_of

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # read when cuBLAS is first used; without it torch refuses its products
_SAID = "determinis"  # in what torch raises where an operation has no deterministic algorithm
_MOST_TOLD = 300


def again(
    specs: str, section: str, name: str, seed: int, steps: int, folder: str, checkpoint: int
) -> dict[str, object]:
    """Take so many steps from a checkpoint, or from the beginning where `checkpoint` is 0; return losses and digest.

    The model is built under another seed where it is to become what a checkpoint holds.
    """
    loop = _begun(specs, section, name, seed, folder, checkpoint)
    return _taken(loop, steps)


def again_exactly(specs: str, section: str, name: str, seed: int, steps: int) -> dict[str, object]:
    """Take so many steps from the beginning with deterministic algorithms alone.

    Returns:
        What `again` does, or `lacks`: what torch said of an operation that has no such algorithm.
    """
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    try:
        with _deterministic():
            return _taken(_begun(specs, section, name, seed, "", 0), steps)
    except RuntimeError as error:
        if _SAID not in str(error):
            raise
        return {"lacks": " ".join(str(error).split())[:_MOST_TOLD]}


def again_nudged(
    specs: str, section: str, name: str, seed: int, steps: int, folder: str, checkpoint: int, times: int
) -> dict[str, object]:
    """Take the steps of `again` once as they are, and so many times with every weight one unit of rounding away.

    The weights are moved at the beginning and after each step, up or down at random: it shows how far from one another
    runs come that differ in the order of their sums.

    Returns:
        `losses` of the steps as they are; `nudged`, a list of such lists.
    """
    plain = _taken(_begun(specs, section, name, seed, folder, checkpoint), steps)
    nudged = []
    for number in range(times):
        loop = _begun(specs, section, name, seed, folder, checkpoint)
        generator = torch.Generator(devices.current()).manual_seed(number)
        losses = []
        for _ in range(steps):
            _nudge(loop.model, generator)
            losses.append(loop.step())
        nudged.append(losses)
    return {**plain, "nudged": nudged}


def _begun(specs: str, section: str, name: str, seed: int, folder: str, checkpoint: int) -> Loop:
    loop = Loop(problem_of(specs, section, name, seed), seed + (1 if checkpoint else 0))
    if checkpoint:
        loop.load(Path(folder) / f"{checkpoint}.pt")
    return loop


def _taken(loop: Loop, steps: int) -> dict[str, object]:
    losses = [loop.step() for _ in range(steps)]
    return {"losses": losses, "digest": loop.digest(), "done": loop.done}


@torch.no_grad()
def _nudge(model: torch.nn.Module, generator: torch.Generator) -> None:
    for parameter in model.parameters():
        if parameter.is_floating_point():
            signs = torch.randint(0, 2, parameter.shape, generator=generator, device=parameter.device)
            parameter.mul_(1 + (2 * signs - 1) * torch.finfo(parameter.dtype).eps)


@contextmanager
def _deterministic() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
