"""Runs an attention on the ranks of one group, each with its share of the sequence, and joins what comes out."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

from . import attention, time_left
from .forked import carried_out
from .tensors import dump, load

_MOST_S = 60.0
# Of what has heads, (B, H, L, D), and of all else, (B, L, ...); a mask of a function's keys is (B, 1, 1, L).
_AXES = {"query": 2, "key": 2, "value": 2, "mask": 3}


def run(
    subject: dict[str, object],
    declared: str,
    seed: int,
    dtype: str,
    calls: list[dict[str, object]],
    tensors: bytes,
    *,
    opened: bool = False,
    ranks: int,
) -> dict[str, object]:
    """Do what `attention.run` does, over gloo on so many ranks, in whose order the shares of the sequence are.

    Returns:
        What `attention.run` returns, outputs and gradients of inputs joined, those of parameters summed over the ranks.
        `absent`: why there can be no group. `problem`: what the first rank that failed said; no output is there then.
    """
    if not (dist.is_available() and dist.is_gloo_available()):
        return {"absent": "this build of torch has no torch.distributed with gloo"}
    reply = attention.run(subject, declared, seed, dtype, [], dump({}), opened=opened)
    if reply.keys() == {"class", "parameters"}:  # of another class than was declared
        return reply
    inputs = load(tensors)
    named = {str(key): _AXES.get(name, 1) for call in calls for name, key in call.items() if str(key) in inputs}
    has_heads = any(call.get("query") for call in calls)
    named |= {str(call["cotangent"]): 2 if has_heads else 1 for call in calls if "cotangent" in call}
    shares = {key: inputs[key].chunk(ranks, dim=axis) for key, axis in named.items()}

    def share(rank: int, folder: Path) -> bytes:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=ranks)
        own = dump({key: parts[rank].clone() for key, parts in shares.items()})
        found = attention.run(subject, declared, seed, dtype, calls, own, opened=opened)["tensors"]
        assert isinstance(found, bytes)
        dist.barrier()
        dist.destroy_process_group()
        return found

    with tempfile.TemporaryDirectory() as place:
        works: dict[str, Callable[[], bytes]] = {str(rank): partial(share, rank, Path(place)) for rank in range(ranks)}
        if said := carried_out(works, Path(place), seconds=time_left.for_trials(_MOST_S)):
            return {**reply, "problem": said}
        found = [load((Path(place) / name).read_bytes()) for name in works]
    axis = 2 if has_heads else 1
    joined = {key: _joined(key, [each.get(key) for each in found], axis) for key in _keys(found)}
    state = {key: tensor for key, tensor in found[0].items() if key.startswith("state.")}
    return {**reply, "tensors": dump({**state, **joined}), "problem": None}


def _keys(found: Iterable[Mapping[str, torch.Tensor]]) -> list[str]:
    return list(dict.fromkeys(key for each in found for key in each if not key.startswith("state.")))


def _joined(key: str, parts: list[torch.Tensor | None], axis: int) -> torch.Tensor:
    """Join what the ranks have of one output or gradient; a rank without it adds zeros."""
    like = next(part for part in parts if part is not None)
    whole = [torch.zeros_like(like) if part is None else part for part in parts]
    is_summed = key.startswith("gradient.") and ".parameter." in key
    return torch.stack(whole).sum(dim=0) if is_summed else torch.cat(whole, dim=axis)
