"""Two ranks under DistributedDataParallel, and one process that sees the batches of both: forks of this process."""

import gc
import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from .. import specs as specs_
from ..forked import carried_out
from ..phases import phase
from ..tensors import dump
from .problem import problem_of

WORLD = 2


def compare(
    specs: str, section: str, name: str, seed: int, steps: int, folder: str, seconds: float, on_gpus: bool
) -> dict[str, object]:
    """Train for a few steps on two ranks and in one process with the same global batch.

    Each rank has a batch of its own; the one process adds up the gradients of both. What is random is drawn alike: by
    seed, step and rank.

    Returns:
        `ranks` and `alone`: weights after the last step as safetensors. `problem`: what the first of the processes that
        failed said, or None.
    """
    place = Path(folder)
    backend = "nccl" if on_gpus else "gloo"
    problem = problem_of(specs, section, name, seed)
    problem.batch(0)  # what the specs keep of their data is there in every fork
    store = place / "store"

    def rank(number: int) -> bytes:
        device = torch.device("cuda", number) if on_gpus else torch.device("cpu")
        if on_gpus:
            torch.cuda.set_device(device)
        else:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group(backend, init_method=f"file://{store}", rank=number, world_size=WORLD)
        specs_.seed_everything(seed)
        model = problem.build().train().to(device)
        parallel = DistributedDataParallel(model, find_unused_parameters=True)
        _trained(model, parallel, steps, [number])
        weights = dump(dict(model.named_parameters()))
        dist.barrier()
        del parallel
        gc.collect()  # it is part of a cycle, and must be gone before the connection
        dist.destroy_process_group()
        return weights

    def alone() -> bytes:
        specs_.seed_everything(seed)
        model = problem.build().train()
        if on_gpus:
            model.to("cuda:0")
        _trained(model, model, steps, list(range(WORLD)))
        return dump(dict(model.named_parameters()))

    def _trained(model: torch.nn.Module, called: torch.nn.Module, steps: int, shards: list[int]) -> None:
        optimizer: torch.optim.Optimizer | None = None
        for step in range(steps):
            model.zero_grad(set_to_none=True)
            for shard in shards:
                batch = problem.batch(WORLD * step + shard)
                specs_.seed_everything(seed + 1 + WORLD * step + shard)
                loss = problem.loss(called, _placed(batch, model))
                with phase("backward"):
                    (loss / len(shards)).backward()  # type: ignore[no-untyped-call]
            if optimizer is None:
                is_sparse = any(p.grad is not None and p.grad.is_sparse for p in model.parameters())
                optimizer = problem.optimizer(model, is_sparse=is_sparse)
            optimizer.step()

    works: dict[str, Callable[[], bytes]] = {"0": lambda: rank(0), "1": lambda: rank(1), "alone": alone}
    said = carried_out(works, place, seconds=seconds)
    if said:
        return {"ranks": b"", "alone": b"", "problem": said}
    return {"ranks": (place / "0").read_bytes(), "alone": (place / "alone").read_bytes(), "problem": None}


def _placed(batch: object, model: torch.nn.Module) -> object:
    device = next(iter(model.parameters())).device
    if device.type == "cpu":
        return batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        return {key: _placed(item, model) for key, item in batch.items()}
    return type(batch)(_placed(item, model) for item in batch) if isinstance(batch, list | tuple) else batch
