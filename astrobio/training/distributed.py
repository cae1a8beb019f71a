"""Data-parallel training: one process per rank, started by torchrun, each with its own shard of a step's batch.

    torchrun --nproc-per-node 2 -m astrobio.cli train climate

Every function here also works in a process that is alone, and then does nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.distributed as dist

from astrobio.training.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """Where this process stands among its kind.

    Attributes:
        rank: number of this process; the one with 0 writes and reports.
        world_size: number of processes.
        device: where this process computes.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def mean(self, values: list[float]) -> list[float]:
        """The mean of every value over the ranks, in float64; the same on each of them."""
        if self.world_size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        means: list[float] = (total / self.world_size).tolist()
        return means

    def gathered(self, value: T) -> list[T]:
        """What each rank has, in the order of the ranks; the same on each of them."""
        if self.world_size == 1:
            return [value]
        values: list[T | None] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return cast("list[T]", values)

    def from_first(self, value: T) -> T:
        """What the first rank has, on every rank."""
        if self.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def joined_ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started, over gloo on CPUs and NCCL on GPUs, and leave them again.

    Args:
        device: "cpu", "cuda" (each rank takes the GPU of its local rank) or "cuda:<index>".

    Raises:
        UsageError: there is no such device here.
    """
    chosen = _device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not dist.is_initialized():
        yield Ranks(rank=0, world_size=1, device=chosen)
        return
    is_ours = not dist.is_initialized()
    if is_ours:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Ranks(rank=dist.get_rank(), world_size=dist.get_world_size(), device=chosen)
    finally:
        if is_ours:
            dist.destroy_process_group()


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"{name!r} is not a device; use cpu, cuda or cuda:<index>") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"{name!r} is not supported; use cpu, cuda or cuda:<index>")
    if device.type == "cuda":
        index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
        if index >= torch.cuda.device_count():
            raise UsageError(f"{name!r} asks for GPU {index}, this machine shows {torch.cuda.device_count()}")
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    return device
