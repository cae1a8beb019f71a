"""Loads a file by its path, as Python loads a script, and says on which devices torch computes."""

import importlib.util
import os
import sys

import torch

from .phases import phase
from .plain import said_by

_NAME = "_astrobio_audit_standalone"
_SIZE = 8


def import_file(path: str) -> dict[str, object]:
    """Execute the file at `path`, relative to the working folder, with its folder first on the import path.

    It has another name than `__main__`, so that the part that does the work is left out.
    """
    full = os.path.abspath(path)
    spec = importlib.util.spec_from_file_location(_NAME, full)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a file that Python can load")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module  # dataclasses look their module up
    sys.path.insert(0, os.path.dirname(full))
    with phase("import"):
        spec.loader.exec_module(module)
    return {"names": len(vars(module))}


def devices() -> dict[str, object]:
    """Multiply two matrices on each device that torch names.

    Returns:
        `devices`: of each device what it is called and whether its product is that of the CPU's whole numbers, or what
        it `raised`. `without_cuda`: why there is no CUDA device; None where there is one.
    """
    names = ["cpu"]
    has_cuda = torch.cuda.is_available()
    names += [f"cuda:{index}" for index in range(torch.cuda.device_count())] if has_cuda else []
    names += ["mps"] if torch.backends.mps.is_available() else []
    without = None
    if not has_cuda:
        without = "torch finds no CUDA device" if torch.version.cuda else "torch was built without CUDA"
    return {"devices": {name: _computes(name) for name in names}, "without_cuda": without}


def _computes(device: str) -> dict[str, object]:
    called = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    # Whole numbers that float32 holds, and so do their sums: every device gives the same.
    matrix = torch.arange(_SIZE * _SIZE, dtype=torch.int64).reshape(_SIZE, _SIZE)
    try:
        product = matrix.float().to(device) @ matrix.float().to(device)
        is_right = bool((product.cpu().long() == (matrix[:, :, None] * matrix[None]).sum(dim=1)).all())
    except Exception as error:  # a device that does not answer is a result
        return {"called": called, "right": False, "raised": said_by(error)}
    return {"called": called, "right": is_right, "raised": None}
