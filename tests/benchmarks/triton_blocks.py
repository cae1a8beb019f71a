"""Time the Triton kernels with every block size of a wide grid, on a GPU.

    python tests/benchmarks/triton_blocks.py --head-dim 64 --head-dim 128 --length 4096

What is fastest here should be among the choices of `astrobio.attention.triton_kernels.configs`, whose marks are printed
beside it. Kernels are compiled in processes of their own first, `--jobs` at a time. Every time is the median of events
around single calls with a cold second-level cache; the last column is relative to the fastest of the table.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

FORWARD = [
    *itertools.product((64, 128), (32, 64, 128), (4, 8), (2, 3, 4)),
    *itertools.product((256,), (32, 64), (8,), (2, 3)),
]
BACKWARD = [
    (*blocks, *rest)
    for blocks in ((32, 64), (64, 32), (64, 64), (32, 128), (128, 32), (64, 128), (128, 64), (128, 128))
    for rest in itertools.product((4, 8), (1, 2, 3))
]
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
SAMPLES = 20
TOKENS, HIDDEN = 16_384, 2_048
CACHE = 50 * 2**20  # bytes of the second level


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head-dim", type=int, action="append", default=[])
    parser.add_argument("--length", type=int, action="append", default=[])
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--full", action="store_true", help="not causal")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--top", type=int, default=8, help="rows of each table")
    parser.add_argument("--compile", help=argparse.SUPPRESS)
    options = parser.parse_args()
    head_dims, lengths = options.head_dim or [64, 128], options.length or [4096]
    if options.compile:
        job, jobs = map(int, options.compile.split("/"))
        for number, (head_dim, kernel) in enumerate(itertools.product(head_dims, ("forward", "key_value", "query"))):
            for place, choice in enumerate(choices(kernel)):
                if (number + place) % jobs == job:
                    Kernel(kernel, head_dim, 512, options.dtype, not options.full).time(choice, samples=1)
        return
    compile_all(options.jobs, *sys.argv)
    for head_dim, length in itertools.product(head_dims, lengths):
        for kernel in ("forward", "key_value", "query"):
            print_table(Kernel(kernel, head_dim, length, options.dtype, not options.full), options.top)


def compile_all(jobs: int, *command: str) -> None:
    """Run the script `jobs` times, side by side, each to compile its share of the kernels."""
    started = [
        subprocess.Popen([sys.executable, *command, "--compile", f"{job}/{jobs}"], stdout=subprocess.DEVNULL)
        for job in range(jobs)
    ]
    if any(process.wait() for process in started):
        sys.exit("a process that compiles kernels has failed")


def choices(kernel: str) -> list[tuple[int, int, int, int]]:
    return FORWARD if kernel == "forward" else BACKWARD


def print_table(kernel: "Kernel", top: int) -> None:
    from astrobio.attention.triton_kernels import configs

    listed = getattr(configs, f"{kernel.name.upper()}_CHOICES")
    found = sorted((time, choice) for choice in choices(kernel.name) if (time := kernel.time(choice)) is not None)
    print(f"\n{kernel.name}, head_dim {kernel.head_dim}, {kernel.length} tokens, {len(found)} of "
          f"{len(choices(kernel.name))} run (block_q, block_k, warps, stages; * is among the choices)")  # fmt: skip
    shown = found[:top] + [each for each in found[top:] if each[1] in listed]
    for time, choice in shown:
        mark = "*" if choice in listed else " "
        print(
            f"  {mark} {choice!s:20} {time:9.1f} us {kernel.flops / time / 1e6:7.1f} TFLOP/s {time / found[0][0]:.2f}"
        )


def median_time(run: Callable[[], object], flush: torch.Tensor, samples: int = SAMPLES) -> float:
    """In microseconds; the first call is not counted, and `flush` is overwritten before each."""
    run()
    torch.cuda.synchronize()
    times = []
    for _ in range(samples):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        flush.zero_()
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(1000 * start.elapsed_time(end))
    return statistics.median(times)


class Kernel:
    """One of the kernels with its inputs: some 16,384 tokens, 2,048 features of all heads together."""

    def __init__(self, name: str, head_dim: int, length: int, dtype: str, is_causal: bool) -> None:
        from astrobio.attention.triton_kernels.problem import Problem

        self.name, self.head_dim, self.length = name, head_dim, length
        heads, batch = HIDDEN // head_dim, max(TOKENS // length, 1)
        shape = (batch, heads, length, head_dim)
        self.query, self.key, self.value, self.gradient = (
            torch.randn(shape, device="cuda").to(DTYPES[dtype]) for _ in range(4)
        )
        self.problem = Problem(scale=head_dim**-0.5, is_half=dtype != "float32", is_causal=is_causal)
        products = {"forward": 2, "key_value": 4, "query": 3}[name]
        self.flops = products * 2 * batch * heads * length * length * head_dim / (2 if is_causal else 1)
        self.flush = torch.empty(CACHE // 2, dtype=torch.int32, device="cuda")

    def time(self, choice: tuple[int, int, int, int], samples: int = SAMPLES) -> float | None:
        """The median in microseconds; None where the blocks do not fit."""
        import triton

        block_q, block_k, warps, stages = choice
        config = triton.Config({"block_q": block_q, "block_k": block_k}, num_warps=warps, num_stages=stages)
        try:
            return self._time(config, samples)
        except triton.runtime.errors.OutOfResources:
            return None

    def _time(self, config: Any, samples: int) -> float:
        from astrobio.attention.triton_kernels import backward, forward

        kernels = {"forward": forward.forward_kernel, "key_value": backward.key_value_kernel,
                   "query": backward.query_kernel}  # fmt: skip
        kernels[self.name].configs = [config]
        return median_time(self._prepared(), self.flush, samples)

    def _prepared(self) -> Callable[[], object]:
        from astrobio.attention.triton_kernels import forward, gradients

        tensors = (self.query, self.key, self.value)
        if self.name == "forward":
            return lambda: forward.forward(*tensors, self.problem)
        launched = gradients.key_value_gradients if self.name == "key_value" else gradients.query_gradient
        sums = self.problem.row_numbers(self.query).fill_(8.0)  # of any size: weights need not add up to be timed
        return lambda: launched(*tensors, self.gradient, sums, sums, self.problem)


if __name__ == "__main__":
    main()
