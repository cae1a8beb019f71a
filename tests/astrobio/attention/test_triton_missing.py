"""The kernels' modules without triton: they import, and say what is missing when a kernel is launched."""

import subprocess
import sys

WITHOUT_TRITON = "import sys; sys.modules['triton'] = None\n"


def printed(code: str) -> str:
    found = subprocess.run([sys.executable, "-c", WITHOUT_TRITON + code], capture_output=True, text=True, check=True)
    return found.stdout


def test_every_module_is_imported() -> None:
    code = """
import importlib, pkgutil
from astrobio.attention import triton_kernels
names = [each.name for each in pkgutil.iter_modules(triton_kernels.__path__)]
for name in names:
    importlib.import_module(f"{triton_kernels.__name__}.{name}")
print(len(names), triton_kernels.forward.forward_kernel, triton_kernels.scoring.LOG2_E.value)
"""
    number, rest = printed(code).split(maxsplit=1)
    assert int(number) >= 9
    assert rest.startswith("Kernel(function=<function forward_kernel")
    assert rest.endswith(" 1.4426950408889634\n")


def test_a_launch_says_what_is_missing() -> None:
    code = """
import torch
from astrobio.attention.triton_kernels.autograd import packed_attention
starts = torch.tensor([0, 3], dtype=torch.int32)
query = torch.zeros(3, 2, 8)
try:
    packed_attention(query, query, query, starts, starts, longest_q=3, longest_k=3)
except ImportError as error:
    print(error.name, error)
"""
    assert printed(code) == (
        "triton the kernel forward_kernel cannot be launched: triton cannot be imported; "
        "the extra `kernels` brings it\n"
    )
