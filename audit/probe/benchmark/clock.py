"""How long an action takes on a device, with its caches cold.

On a GPU two events on its stream bracket the action, on a CPU a monotonic clock does. Before each action a buffer that
is larger than the last cache is written, outside the time, so that nothing the action reads lies there. A GPU is then
kept waiting until the action has been launched: what Python takes for that is told apart, and is not in the time.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch

from .. import devices

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_ASSUMED_CACHE_BYTES = 64 * 2**20  # where neither the system nor the device tells
_TIMES_CACHE = 2  # caches do not replace strictly in order of age
_CYCLES_PER_NS = 2  # of a GPU that runs at 2 GHz, faster than any part of today: a slower one waits longer
_FIRST_WAIT_NS, _LONGEST_WAIT_NS = 1_000_000, 10_000_000
_WAIT_TIMES_LAUNCH = 2
_FORGOTTEN = 0.9  # of the longest launch, with each call
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
Action = Callable[[], object]


class Clock(Protocol):
    """Times single calls."""

    cache_bytes: int
    is_cache_known: bool
    launches_ns: list[int]  # what the caller took to launch each action on a GPU; empty on a CPU

    def timed_ns(self, action: Action, *, launched_ahead: bool = True) -> int:
        """Make the caches cold, run the action and return what it took, in nanoseconds.

        Args:
            action: what is timed.
            launched_ahead: whether a GPU waits until the action is launched, so that its own work alone is timed.
        """

    def settle(self) -> None:
        """Wait until nothing runs on the device."""


class CpuClock:
    """Wall time."""

    def __init__(self, caches: Path = _CACHES) -> None:
        """Allocate the buffer with which caches are filled."""
        found = last_level_cache_bytes(caches)
        self.is_cache_known = found is not None
        self.cache_bytes = found or _ASSUMED_CACHE_BYTES
        self._flush = torch.empty(_TIMES_CACHE * self.cache_bytes // 8, dtype=torch.int64)
        self.launches_ns: list[int] = []

    def timed_ns(self, action: Action, *, launched_ahead: bool = True) -> int:
        """Return wall time."""
        self._flush.zero_()
        begun = time.perf_counter_ns()
        action()
        return time.perf_counter_ns() - begun

    def settle(self) -> None:
        """Nothing runs beside the caller."""


class CudaClock:
    """Time between two events on the current stream; `cuda` is `torch.cuda` or something that answers like it."""

    def __init__(self, cuda: Any, device: str, make: Callable[..., torch.Tensor] = torch.empty) -> None:
        """Allocate the buffer with which the second-level cache is filled."""
        self._cuda = cuda
        found = int(getattr(cuda.get_device_properties(device), "L2_cache_size", 0))
        self.is_cache_known = found > 0
        self.cache_bytes = found or _ASSUMED_CACHE_BYTES
        self._flush = make(_TIMES_CACHE * self.cache_bytes // 8, dtype=torch.int64, device=device)
        self._wait_ns: float = _FIRST_WAIT_NS
        self.launches_ns: list[int] = []

    def timed_ns(self, action: Action, *, launched_ahead: bool = True) -> int:
        """Return the time between the events, which the device comes to when the action has been launched."""
        start, end = self._cuda.Event(enable_timing=True), self._cuda.Event(enable_timing=True)
        self._flush.zero_()
        if launched_ahead:
            self._cuda._sleep(round(self._wait_ns * _CYCLES_PER_NS))
        start.record()
        begun = time.perf_counter_ns()
        action()
        self.launches_ns.append(time.perf_counter_ns() - begun)
        end.record()
        end.synchronize()
        wanted = max(_WAIT_TIMES_LAUNCH * self.launches_ns[-1], _FORGOTTEN * self._wait_ns)
        self._wait_ns = min(wanted, _LONGEST_WAIT_NS)
        return round(float(start.elapsed_time(end)) * 1e6)  # it tells milliseconds

    def settle(self) -> None:
        """Wait for the device."""
        self._cuda.synchronize()

    def graphed(self, action: Action) -> Action:
        """Return what replays the action from a graph: without the time that Python takes to launch it.

        Raises:
            RuntimeError: the action cannot be captured.
        """
        graph = self._cuda.CUDAGraph()
        with self._cuda.graph(graph):
            action()
        replay: Action = graph.replay
        return replay


_clocks: list[CpuClock | CudaClock] = []


def clock() -> CpuClock | CudaClock:
    """Return the clock of the device; there is one, for its buffer is large."""
    if not _clocks:
        _clocks.append(CudaClock(torch.cuda, devices.current()) if devices.on_gpu() else CpuClock())
    return _clocks[0]


def last_level_cache_bytes(caches: Path = _CACHES) -> int | None:
    """Return the size of the largest cache that the first core uses; None where the system does not tell."""
    sizes = []
    for path in caches.glob("index*/size"):
        text = path.read_text().strip()
        if text[:-1].isdigit() and text[-1:] in _UNITS:
            sizes.append(int(text[:-1]) * _UNITS[text[-1]])
    return max(sizes, default=None)
