"""Asks an attention backend for its answer to one case, and times it; both on inputs drawn anew for every call."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..phases import phase
from ..tensors import dump
from .cases import BACKWARD, DECODE, Buffers, Case, case_of
from .clock import CudaClock, clock
from .contenders import Attend, Unavailable, prepared, refusals
from .memory import peak_bytes, release
from .sampling import Rule, sampled

GRAPH = "graph"


@dataclass(frozen=True)
class _Prepared:
    """A backend with its case, and where the parent looks at what it computes.

    `places` are pairs of sample and key head, `rows` are queries.
    """

    case: Case
    buffers: Buffers
    attend: Attend
    places: Sequence[tuple[int, int]]
    rows: Sequence[int]

    def forward(self) -> Tensor:
        """Attend as the case says; in `decode` the newest key and value are written into the cache first."""
        buffers = self.buffers
        if self.case.mode == DECODE:
            buffers.key[:, :, -1:] = buffers.new_key
            buffers.value[:, :, -1:] = buffers.new_value
        if self.case.mode == BACKWARD:
            return self.attend(*buffers.leaves)
        with torch.no_grad():
            return self.attend(*buffers.leaves)

    def differentiate(self, output: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of query, key and value."""
        return torch.autograd.grad(output, self.buffers.leaves, self.buffers.weights.to(output.dtype))

    def answer(self, generator: torch.Generator) -> dict[str, object]:
        """Return inputs, taken before the call, and what the backend makes of them, at the chosen places."""
        buffers, case = self.buffers, self.case
        buffers.refill(generator, self.rows if len(self.rows) < case.queries else None)
        key, value = self._of_keys(buffers.key), self._of_keys(buffers.value)
        if case.mode == DECODE:
            key[:, -1:], value[:, -1:] = self._of_keys(buffers.new_key), self._of_keys(buffers.new_value)
        found = {"query": self._of_queries(buffers.query), "key": key, "value": value}
        found |= {"weights": self._of_queries(buffers.weights)} if case.mode == BACKWARD else {}
        with phase("forward"):
            output = self.forward()
        said = {"shape": list(output.shape), "dtype": str(output.dtype).removeprefix("torch.")}
        if tuple(output.shape) != tuple(buffers.query.shape):
            return {**said, "tensors": dump(found)}
        found["output"] = self._of_queries(output)
        if case.mode == BACKWARD:
            with phase("backward"):
                by_query, by_key, by_value = self.differentiate(output)
            found["query_gradient"] = self._of_queries(by_query)
            found["key_gradient"], found["value_gradient"] = self._of_keys(by_key), self._of_keys(by_value)
        return {**said, "tensors": dump(found)}

    def _of_queries(self, tensor: Tensor) -> Tensor:
        """Return (places, H / Hkv, rows, D)."""
        group = self.case.heads // self.case.kv_heads
        rows = torch.tensor(list(self.rows), device=tensor.device)
        picked = [tensor[sample, head * group : (head + 1) * group] for sample, head in self.places]
        return torch.stack(picked).detach().index_select(2, rows).clone()

    def _of_keys(self, tensor: Tensor) -> Tensor:
        """Return (places, Lk, D)."""
        return torch.stack([tensor[sample, head] for sample, head in self.places]).detach().clone()


def check(
    backend: dict[str, object], case: dict[str, object], seed: int, places: list[tuple[int, int]], rows: list[int]
) -> dict[str, object]:
    """Return the backend's answer to one case at the places and rows named; `unavailable` where it has none.

    Returns:
        `shape` and `dtype` of the whole output; `tensors` in the safetensors format: `query` and, of a backward case,
        `weights`, the gradient of the output, (places, H / Hkv, rows, D); `key`, `value`, (places, Lk, D); `output` and
        `query_gradient` like `query`, `key_gradient` and `value_gradient` like `key`.
    """

    def run(ready: _Prepared) -> dict[str, object]:
        return ready.answer(ready.buffers.generator(seed))

    return _with(backend, case, places, rows, run)


def timed(
    backend: dict[str, object],
    case: dict[str, object],
    seed: int,
    places: list[tuple[int, int]],
    rows: list[int],
    rule: dict[str, object],
    warm_up: int,
    method: str,
    with_memory: bool,
) -> dict[str, object]:
    """Time calls until the rule says stop, then answer once more as `check` does.

    Returns:
        What `check` does, and `samples_ns`; `launch_ns`, the median of what the caller took to launch a call on a GPU;
        `first_call_ns`, which has what is compiled and loaded once; `peak_bytes`
        and `peak_how`, where asked for; the `cache_bytes` that were made cold.
    """
    stop = Rule(
        relative_error=float(str(rule["relative_error"])), least=int(str(rule["least"])), most=int(str(rule["most"])),
        seconds=float(str(rule["seconds"])),
    )  # fmt: skip

    def run(ready: _Prepared) -> dict[str, object]:
        generator = ready.buffers.generator(seed)
        watch = clock()
        found: dict[str, object] = {"cache_bytes": watch.cache_bytes}
        begun = time.perf_counter_ns()
        for number in range(max(warm_up, 1)):
            _action(ready, generator)()
            watch.settle()
            if number == 0:
                found["first_call_ns"] = time.perf_counter_ns() - begun
        if with_memory:
            found["peak_bytes"], found["peak_how"] = peak_bytes(_action(ready, generator))
        replayed = None
        if method == GRAPH:
            if not isinstance(watch, CudaClock) or ready.case.mode == BACKWARD:
                raise Unavailable("graphs are timed on CUDA devices, and without the backward pass", is_absent=False)
            replayed = watch.graphed(ready.forward)

        def sample() -> int:
            return watch.timed_ns(_action(ready, generator, replayed))

        watch.launches_ns.clear()
        with phase("timing"):
            found["samples_ns"] = sampled(sample, stop)
        found["launch_ns"] = round(statistics.median(watch.launches_ns)) if watch.launches_ns else None
        return {**found, **ready.answer(generator)}

    return _with(backend, case, places, rows, run)


def _action(
    ready: _Prepared, generator: torch.Generator, replayed: Callable[[], object] | None = None
) -> Callable[[], object]:
    """Draw new inputs and return what is to be timed on them."""
    ready.buffers.refill(generator)
    if ready.case.mode != BACKWARD:
        return replayed or ready.forward
    output = ready.forward()
    return lambda: ready.differentiate(output)


def _with(
    backend: Mapping[str, object],
    case: Mapping[str, object],
    places: Sequence[tuple[int, int]],
    rows: Sequence[int],
    run: Callable[[_Prepared], dict[str, object]],
) -> dict[str, object]:
    try:
        with refusals():
            return _run(backend, case_of(case), places, rows, run)
    except Unavailable as why:
        return {"unavailable": str(why), "is_absent": why.is_absent}
    finally:
        release()


def _run(
    backend: Mapping[str, object],
    case: Case,
    places: Sequence[tuple[int, int]],
    rows: Sequence[int],
    run: Callable[[_Prepared], dict[str, object]],
) -> dict[str, object]:
    """Prepare and run; a function of its own, so that masks and inputs are gone when memory is given back."""
    with phase("prepare"):
        attend = prepared(backend, case)
    return run(_Prepared(case, Buffers(case), attend, places, rows))
