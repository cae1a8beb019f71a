"""Time the forward kernel where one query meets many keys, with each block size and each number of shares, on a GPU.

    python tests/benchmarks/triton_splits.py --head-dim 64 --head-dim 128 --length 2048 --length 16384

The blocks that are fastest here should be among `configs.FEW_QUERIES_CHOICES`, and `splits._PROGRAMS_EACH` the number
of programs for each multiprocessor that loses least over all lengths. Times are medians of captured graphs, as a
decoder replays them, with a cold second-level cache; torch's own attention is timed beside them.
"""

import argparse
import itertools
from collections.abc import Callable
from typing import Any

import torch
from triton_blocks import CACHE, HIDDEN, TOKENS, compile_all, median_time

CHOICES = list(itertools.product((16,), (32, 64, 128, 256), (2, 4, 8), (2, 3, 4)))
PROGRAMS_EACH = (1, 2, 3, 4, 6, 8, 12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head-dim", type=int, action="append", default=[])
    parser.add_argument("--length", type=int, action="append", default=[])
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--top", type=int, default=6, help="rows of each table")
    parser.add_argument("--compile", help=argparse.SUPPRESS)
    options = parser.parse_args()
    head_dims, lengths = options.head_dim or [64, 128], options.length or [2048, 4096, 8192, 16_384]
    if options.compile:
        job, jobs = map(int, options.compile.split("/"))
        for head_dim in head_dims:
            for choice in CHOICES[job::jobs]:
                Decoded(head_dim, 2048).time(choice, 4, samples=1)
        return
    compile_all(options.jobs, __file__, *(f"--head-dim={head_dim}" for head_dim in head_dims))
    lost: dict[tuple[Any, int], float] = {}
    for head_dim, length in itertools.product(head_dims, lengths):
        found = print_table(Decoded(head_dim, length), options.top)
        for way, time in found.items():
            lost[way] = max(lost.get(way, 0.0), time / min(found.values()))
    print("\nwhat loses least over all: the longest time of each, relative to the fastest of its table")
    for way in sorted(lost, key=lambda each: lost[each])[: 2 * options.top]:
        print(f"  {way!s:28} {lost[way]:.2f}")


def print_table(decoded: "Decoded", top: int) -> dict[tuple[Any, int], float]:
    ways = itertools.product(CHOICES, PROGRAMS_EACH)
    found = {way: time for way in ways if (time := decoded.time(*way)) is not None}
    torchs = decoded.time_of_torch()
    print(f"\nhead_dim {decoded.head_dim}, {decoded.batch} x {decoded.length} keys, torch {torchs:.1f} us "
          "((block_q, block_k, warps, stages), programs each)")  # fmt: skip
    for way in sorted(found, key=lambda each: found[each])[:top]:
        print(f"  {way!s:28} {found[way]:7.1f} us {torchs / found[way]:.2f} times torch's speed")
    return found


class Decoded:
    """One query at the end of `length` keys; some 16,384 keys, 2,048 features of all heads together."""

    def __init__(self, head_dim: int, length: int) -> None:
        self.head_dim, self.length, self.batch = head_dim, length, max(TOKENS // length, 1)
        heads = HIDDEN // head_dim
        self.query = torch.randn(self.batch, heads, 1, head_dim, device="cuda", dtype=torch.bfloat16)
        self.key, self.value = torch.randn(2, self.batch, heads, length, head_dim, device="cuda", dtype=torch.bfloat16)
        self.flush = torch.empty(CACHE // 2, dtype=torch.int32, device="cuda")

    def time(self, choice: tuple[int, int, int, int], programs_each: int, samples: int = 11) -> float | None:
        """The median in microseconds; None where the blocks do not fit."""
        import triton

        from astrobio.attention.triton_kernels import forward, splits
        from astrobio.attention.triton_kernels.problem import Problem

        block_q, block_k, warps, stages = choice
        config = triton.Config({"block_q": block_q, "block_k": block_k}, num_warps=warps, num_stages=stages)
        forward.forward_kernel.configs = [config]
        splits._PROGRAMS_EACH = programs_each
        problem = Problem(scale=self.head_dim**-0.5, is_half=True, is_causal=True)
        try:
            return self._time(lambda: forward.forward(self.query, self.key, self.value, problem), samples)
        except triton.runtime.errors.OutOfResources:
            return None

    def time_of_torch(self) -> float:
        attention = torch.nn.functional.scaled_dot_product_attention
        return self._time(lambda: attention(self.query, self.key, self.value), 11)

    def _time(self, run: Callable[[], object], samples: int) -> float:
        run()  # compiles
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        return median_time(graph.replay, self.flush, samples)


if __name__ == "__main__":
    main()
