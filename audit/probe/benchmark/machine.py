"""What the measurement was made on: name, memory, caches, threads and versions."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

from .. import devices, environment
from .clock import last_level_cache_bytes

_CPU_FACTS = Path("/proc/cpuinfo")


def device() -> dict[str, object]:
    """Return the device of the target's process as plain data; what is not known is None."""
    told = environment.environment()
    facts: dict[str, object] = {
        "kind": devices.kind(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if devices.on_gpu() else None,
        "libraries": told["libraries"],
    }
    if devices.on_gpu():
        return facts | cuda_facts(torch.cuda.get_device_properties(devices.current()))
    return facts | {
        "name": cpu_name(),
        "memory_bytes": told["memory_bytes"],
        "cache_bytes": last_level_cache_bytes(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "uuid": None,
    }


def cuda_facts(properties: Any) -> dict[str, object]:
    """Return what torch tells of a GPU."""
    uuid = getattr(properties, "uuid", None)
    return {
        "name": str(properties.name),
        "memory_bytes": int(properties.total_memory),
        "cache_bytes": int(getattr(properties, "L2_cache_size", 0)) or None,
        "capability": f"{properties.major}.{properties.minor}",
        "cores": int(properties.multi_processor_count),
        "uuid": None if uuid is None else str(uuid),
    }


def cpu_name(facts: Path = _CPU_FACTS) -> str:
    """Return the model of the processor as the system names it, else the architecture."""
    try:
        for line in facts.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model") and value.strip():
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
