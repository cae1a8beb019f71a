"""What the device reaches at the most: products of square matrices, and copies of memory that no cache holds."""

import torch

from .. import devices
from ..callee import DTYPES
from .clock import CpuClock, clock
from .memory import release
from .sampling import Rule, sampled

_SIZES_CPU = (512, 1024, 2048)  # rows of square matrices; the best size counts, for libraries have favourites
_SIZES_GPU = (4096, 8192)
_COPIED_CACHES = 4  # a buffer of so many last-level caches


def measured(dtype: str, seconds: float) -> dict[str, object]:
    """Return the highest rates of several runs: `flops_per_s` of products in `dtype`, `bytes_per_s` of copies.

    A product of n x n matrices counts 2 n^3 operations; a copy counts its bytes twice, read and written. The fastest
    sample counts: a ceiling is what the device can, not what it mostly does.
    """
    try:
        watch = clock()
        sizes = _SIZES_CPU if isinstance(watch, CpuClock) else _SIZES_GPU
        share = seconds / (len(sizes) + 1)
        rule = Rule(relative_error=0.005, least=5, most=1000, seconds=share)
        best = max(_products(dtype, size, rule) for size in sizes)
        return {"flops_per_s": best, "bytes_per_s": _copies(watch.cache_bytes, rule)}
    finally:
        release()


def _products(dtype: str, size: int, rule: Rule) -> float:
    with devices.own():
        left, right, product = (torch.randn(size, size).to(DTYPES[dtype]) for _ in range(3))
    watch = clock()

    def multiply() -> object:
        return torch.mm(left, right, out=product)

    multiply()
    watch.settle()
    return float(2 * size**3 / (min(sampled(lambda: watch.timed_ns(multiply), rule)) / 1e9))


def _copies(cache_bytes: int, rule: Rule) -> float:
    elements = _COPIED_CACHES * cache_bytes // 4
    with devices.own():
        source, target = torch.ones(elements), torch.empty(elements)
    watch = clock()

    def copy() -> object:
        return target.copy_(source)

    copy()
    watch.settle()
    return float(2 * 4 * elements / (min(sampled(lambda: watch.timed_ns(copy), rule)) / 1e9))
