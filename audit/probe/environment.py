"""What the target's interpreter has: versions, devices, memory."""

import importlib.metadata
import importlib.util
import os
import platform

import torch

_OPTIONAL = ("triton", "flash_attn", "flash_attn_interface", "xformers", "safetensors", "numpy")
_DISTRIBUTIONS = {"flash_attn": "flash-attn", "flash_attn_interface": "flash-attn-3"}


def environment() -> dict[str, object]:
    """Return versions of Python, torch and optional libraries, the devices, and memory in bytes."""
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "built_for_cuda": torch.version.cuda,
        "devices": [_device(index) for index in range(torch.cuda.device_count())] if cuda else [],
        "libraries": {name: _version(name) for name in _OPTIONAL},
        "threads": torch.get_num_threads(),
        "cpu_count": os.cpu_count() or 0,
        "memory_bytes": _memory_bytes(),
    }


def _device(index: int) -> dict[str, object]:
    properties = torch.cuda.get_device_properties(index)
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "capability": f"{properties.major}.{properties.minor}",
    }


def _version(name: str) -> str | None:
    if importlib.util.find_spec(name) is None:
        return None
    try:
        return importlib.metadata.version(_DISTRIBUTIONS.get(name, name))
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
