"""How much memory one call takes at most, beyond what was there before it."""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .. import devices

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
Action = Callable[[], object]


def peak_bytes(action: Action) -> tuple[int | None, str]:
    """Run an action; return what it took at the most, None where that cannot be told, and how it was found out."""
    if devices.on_gpu():
        return cuda_peak_bytes(action, torch.cuda), "torch.cuda.max_memory_allocated"
    try:
        return _resident_peak_bytes(action), "growth of the resident set, VmHWM"
    except (OSError, ValueError):  # not Linux, or a system that does not let a process reset its own peak
        return None, "the system does not tell the peak of a call"


def cuda_peak_bytes(action: Action, cuda: Any) -> int:
    """Return what torch allocated on the GPU at the most; `cuda` is `torch.cuda` or answers like it."""
    gc.collect()
    cuda.synchronize()
    cuda.reset_peak_memory_stats()
    before = cuda.memory_allocated()
    action()
    cuda.synchronize()
    return int(cuda.max_memory_allocated() - before)


def _resident_peak_bytes(action: Action) -> int:
    gc.collect()
    _trim()
    before = _bytes_of("VmRSS")
    _RESET.write_text("5")  # proc(5): sets the peak to the present size
    action()
    return max(_bytes_of("VmHWM") - before, 0)


def _bytes_of(key: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{_STATUS} has no {key}")


def _trim() -> None:
    """Give back what was freed: memory that is reused would not show as taken."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)


def release() -> None:
    """Give what is no longer used back to the device: another process may be about to use it.

    What is alive then, torch's modules for the most part, is not gone through again at later calls: each look took some
    80 ms, as long as the samples of a short round.
    """
    gc.collect()
    gc.freeze()
    if devices.on_gpu():
        torch.cuda.empty_cache()
