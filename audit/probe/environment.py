"""What the target's interpreter has: versions, devices, memory."""

import importlib.metadata
import importlib.util
import os
import platform

import torch

_OPTIONAL = ("triton", "flash_attn", "flash_attn_interface", "xformers", "safetensors", "numpy")
_DISTRIBUTIONS = {"flash_attn": "flash-attn", "flash_attn_interface": "flash-attn-3"}
_FLASH_4 = "flash-attn-4"  # its module `flash_attn.cute` lies in a folder that belongs to no package of its own


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
        "libraries": {name: _version(name) for name in _OPTIONAL} | {"flash_attn_4": _distribution(_FLASH_4)},
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
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:  # nothing, or a folder in which another distribution has its modules
        return None
    return _distribution(_DISTRIBUTIONS.get(name, name)) or "unknown version"


def _distribution(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
