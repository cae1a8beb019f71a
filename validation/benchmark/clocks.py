"""Clocks, temperature and throttle reasons of a GPU, as NVML tells them where it is installed; load of a CPU."""

import importlib
import os
from typing import Any

from validation.benchmark.rows import Clocks

# nvmlClocksEventReasons of nvml.h; idle and settings by the user slow nothing that is running.
_REASONS = {
    0x0000000000000004: "power cap",
    0x0000000000000008: "hardware slowdown",
    0x0000000000000010: "sync boost",
    0x0000000000000020: "software thermal slowdown",
    0x0000000000000040: "hardware thermal slowdown",
    0x0000000000000080: "hardware power brake",
}


def read_clocks(uuid: str | None, *, on_gpu: bool) -> Clocks:
    """Return the state of the device; what cannot be told says why."""
    if not on_gpu:
        return Clocks(load=round(os.getloadavg()[0], 2), unknown="a CPU tells no clocks that a process could rely on")
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return Clocks(unknown="pynvml is not installed; the extra `gpu` brings it")
    return nvml_clocks(nvml, uuid)


def nvml_clocks(nvml: Any, uuid: str | None) -> Clocks:
    """Return what NVML tells of the GPU with this id; `nvml` is `pynvml` or answers like it."""
    if uuid is None:
        return Clocks(unknown="torch does not tell the id of the GPU")
    try:
        nvml.nvmlInit()
        try:
            # By id and not by number: CUDA_VISIBLE_DEVICES renumbers what torch sees and not what NVML sees.
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
            active = int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
            return Clocks(
                sm_mhz=int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
                memory_mhz=int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
                temperature_c=int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
                power_w=nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
                throttle_reasons=tuple(name for bit, name in _REASONS.items() if active & bit),
            )
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as problem:
        return Clocks(unknown=f"NVML: {problem}")
