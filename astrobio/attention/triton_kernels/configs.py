"""Block sizes: what is tried on a GPU, and the one small choice under Triton's interpreter.

The candidates are the fastest of a wide grid on an H100 (tests/benchmarks/triton_blocks.py: causal, bfloat16, heads 64
and 128 wide, 4,096 tokens), each within 5 % of the best for one of these, and smaller ones for wider heads and float32.
Few queries have small blocks: the fastest of tests/benchmarks/triton_splits.py there, heads 64 wide, and a small one.
Triton leaves out those that do not fit and keeps the fastest for each key.
"""

from collections.abc import Callable
from typing import Any

from astrobio.attention.triton_kernels.interpreter import is_interpreting

try:
    import triton
except ImportError:
    from astrobio.attention.triton_kernels.missing import placeholders

    triton, _ = placeholders()

FEW_QUERIES = 16
"""So many fit the smallest block of queries; what decodes has one. Blocks for them are chosen apart."""

TUNED_FOR = ("length_class", "block_d", "is_causal", "is_half")
"""Arguments of the kernels that the fastest choice depends on: one tuning run for each combination."""

# (block of queries, block of keys, warps, stages of the pipeline)
FORWARD_CHOICES = ((128, 64, 8, 3), (64, 64, 4, 3), (128, 128, 8, 3), (64, 32, 4, 3), (64, 64, 4, 2), (32, 32, 4, 1))
FEW_QUERIES_CHOICES = ((16, 128, 4, 3), (16, 64, 2, 3), (16, 128, 2, 3), (16, 64, 4, 3), (16, 32, 4, 2))
KEY_VALUE_CHOICES = ((64, 64, 4, 3), (64, 64, 4, 2), (32, 64, 4, 3), (64, 128, 8, 2), (32, 64, 4, 2), (32, 32, 4, 1))
QUERY_CHOICES = ((64, 64, 4, 3), (64, 32, 4, 3), (128, 128, 8, 2), (64, 128, 4, 1), (64, 64, 4, 2), (32, 32, 4, 1))
_SHARED_MEMORY = 227 * 1024  # bytes, of a block on Hopper; what is under it may still not fit, and is then left out
_LARGEST_BLOCK_HALF = 128 * 128  # scores
_LARGEST_BLOCK_FLOAT32 = 64 * 32  # scores of heads 64 wide
_INTERPRETED = ((16, 16, 1, 1),)  # several blocks even where an audit gives two dozen tokens


def tuned(choices: tuple[tuple[int, int, int, int], ...]) -> Callable[[Any], Any]:
    """A decorator that lets Triton choose among block sizes by measuring them.

    Args:
        choices: (block of queries, block of keys, warps, stages); under the interpreter one small choice replaces them.
    """
    configs = [
        triton.Config({"block_q": block_q, "block_k": block_k}, num_warps=warps, num_stages=stages)
        for block_q, block_k, warps, stages in (_INTERPRETED if is_interpreting() else choices)
    ]
    choose = triton.autotune(configs=configs, key=list(TUNED_FOR), prune_configs_by={"early_config_prune": that_fit})
    return choose  # type: ignore[no-any-return]


def that_fit(configs: list[Any], arguments: dict[str, Any], **named: Any) -> list[Any]:
    """Leave out what cannot run or takes minutes to compile: too much shared memory, or large blocks of float32.

    float32 is multiplied without tensor cores, one instruction for each product, and unrolled. Of what is left the
    smallest choice is always kept. Few queries have choices of their own, where the kernel has any.

    Args:
        configs: the candidates.
        arguments: those of the kernel that were given by position.
        named: the others; `block_d`, `is_half` and `q_len` are among them.
    """
    block_d, is_half = named["block_d"], named["is_half"]
    is_few = named["q_len"] <= FEW_QUERIES  # no mutant: it chooses among sizes of blocks, which compute the same
    configs = [config for config in configs if (config.kwargs["block_q"] <= FEW_QUERIES) == is_few] or configs
    largest_block = _LARGEST_BLOCK_HALF if is_half else _LARGEST_BLOCK_FLOAT32 * 64 // max(block_d, 64)

    def fits(config: Any) -> bool:
        block_q, block_k = config.kwargs["block_q"], config.kwargs["block_k"]
        pipelined = config.num_stages * min(block_q, block_k) + max(block_q, block_k)
        shared = pipelined * block_d * (2 if is_half else 4)
        return bool(shared <= _SHARED_MEMORY and block_q * block_k <= largest_block)

    smallest = min(configs, key=lambda config: config.kwargs["block_q"] * config.kwargs["block_k"])
    return [config for config in configs if fits(config) or config is smallest]


def length_class(query_length: int, key_length: int) -> int:
    """The longer length as a power of two between 2^7 and 2^15, so that a growing sequence is seldom tuned anew.

    Few queries are tuned for themselves: their classes are 16 higher.
    """
    power = min(max((max(query_length, key_length) - 1).bit_length(), 7), 15)
    return power + 16 if query_length <= FEW_QUERIES else power
