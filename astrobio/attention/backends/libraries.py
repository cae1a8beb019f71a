"""What backends of compiled kernels decline for the same reasons."""

import functools
import importlib.machinery
import importlib.util
import sys

import torch

from astrobio.attention.backends.call import AttentionCall

HALF_TYPES = (torch.float16, torch.bfloat16)


def is_installed(module: str) -> bool:
    """Whether there is such a module to import, found without importing anything: what breaks does so when it runs."""
    if module in sys.modules:
        return sys.modules[module] is not None  # None is how the import system is told that there is none
    package = module.partition(".")[0]
    if package not in sys.modules:
        return _is_found(module, None)
    return _is_found(module, tuple(getattr(sys.modules[package], "__path__", ())))


# What `torch.compiler.assume_constant_result` does, which loads the whole compiler: that would double the time that
# importing this package takes.
is_installed.__dict__["_dynamo_marked_constant"] = True


@functools.cache
def _is_found(module: str, path: tuple[str, ...] | None) -> bool:
    """Look for a module inside of a package that is there, in the folders of `path`, or wherever modules are found."""
    name, *inside = module.split(".")
    if path is None:
        spec = importlib.util.find_spec(name)
        path = () if spec is None else tuple(spec.submodule_search_locations or ())
        if spec is None or not inside:
            return spec is not None
    for part in inside:
        name = f"{name}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(name, list(path))
        if spec is None:
            return False
        path = tuple(spec.submodule_search_locations or ())
    return True


def gradient_reason(call: AttentionCall) -> str | None:
    """Why a kernel that differentiates query, key and value alone cannot compute `call`, or None."""
    if torch.is_grad_enabled():
        for name, added in (("bias", call.bias), ("linear biases", call.alibi_slopes)):
            if added is not None and added.requires_grad:
                return f"it gives the {name} no gradient"
    return None


def flash_reason(
    call: AttentionCall, *, supported: frozenset[str], capabilities: tuple[int, ...], largest_head_dim: int = 256
) -> str | None:
    """Why no version of the flash attention library that supports these options can compute `call`, or None.

    Args:
        call: what is asked for.
        supported: options by their names in `AttentionCall`.
        capabilities: major numbers of the compute capabilities that the library is built for.
        largest_head_dim: D, at most.
    """
    device = device_reason(call, capabilities=capabilities)
    if device is not None:
        return device
    if call.query.dtype not in HALF_TYPES:
        return f"it takes float16 and bfloat16, not {call.query.dtype}"
    if call.query.shape[3] > largest_head_dim:
        return f"it takes heads of at most {largest_head_dim} features, not {call.query.shape[3]}"
    if call.query.numel() == 0 or call.key.numel() == 0:
        return "it does not define attention of or to nothing"
    missing = sorted(call.options - supported)
    if missing:
        return f"it has no {', '.join(missing)}"
    if call.scale <= 0:
        return f"it takes scales above 0, not {call.scale}: it scales after it has found the largest score"
    return gradient_reason(call)


def device_reason(call: AttentionCall, *, capabilities: tuple[int, ...]) -> str | None:
    """Why a library for NVIDIA GPUs of these compute capabilities (major numbers) cannot run `call`, or None."""
    device = call.query.device
    if device.type != "cuda" or torch.version.hip is not None:
        return f"it runs on CUDA devices, not on {device.type if torch.version.hip is None else 'ROCm'}"
    major, minor = torch.cuda.get_device_capability(device)
    if major not in capabilities:
        built_for = " and ".join(f"{capability}.x" for capability in capabilities)
        return f"it is built for compute capability {built_for}, and the device has {major}.{minor}"
    return None


def keys_left_and_right(call: AttentionCall, *, unlimited: int | None = -1) -> tuple[int | None, int | None]:
    """The window as flash attention counts it: keys seen before the query's own, and keys seen after it."""
    if call.window is None or not call.is_window_restrictive:
        return unlimited, unlimited
    return call.window - 1, 0 if call.is_causal else call.window - 1
