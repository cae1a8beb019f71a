"""Keys shared among several programs where queries are few, and what these find weighed into one result."""

import torch
from torch import Tensor

from astrobio.attention.triton_kernels.configs import FEW_QUERIES
from astrobio.attention.triton_kernels.interpreter import is_interpreting
from astrobio.attention.triton_kernels.launch import COMPILED_WITH, padded_head_dim
from astrobio.attention.triton_kernels.problem import Problem
from astrobio.attention.triton_kernels.scoring import LOG2_E

try:
    import triton
    import triton.language as tl
except ImportError:
    from astrobio.attention.triton_kernels.missing import placeholders

    triton, tl = placeholders()

_FEWEST_KEYS = 256  # of a part, below which a second kernel costs more than it saves
_PROGRAMS_EACH = 1  # of a multiprocessor: on an H100 more of them gain nothing (tests/benchmarks/triton_splits.py)
_MOST_SPLITS = 64
_INTERPRETED_SPLITS, _INTERPRETED_KEYS = 3, 2  # three parts of few blocks, so that some have nothing to do


def number_of_splits(query: Tensor, key: Tensor, problem: Problem) -> int:
    """Into how many parts the keys of each head are cut; 1 unless queries are few and keys many.

    Sequences that are packed are not cut: their lengths are known on the GPU only.
    """
    query_length, key_length = problem.lengths(query, key)
    programs = problem.num_sequences(query) * query.shape[1]
    if problem.is_packed or programs == 0 or not 1 <= query_length <= FEW_QUERIES:
        return 1
    if problem.window is not None:
        key_length = min(key_length, 2 * problem.window + query_length)
    if is_interpreting():
        return max(min(_INTERPRETED_SPLITS, key_length // _INTERPRETED_KEYS), 1)
    processors = torch.cuda.get_device_properties(query.device).multi_processor_count
    wanted = round(_PROGRAMS_EACH * processors / programs)
    return max(min(wanted, key_length // _FEWEST_KEYS, _MOST_SPLITS), 1)


@triton.jit
def merge_kernel(
    outputs, log_sums, output, log_sum, num_rows, num_heads, q_len, num_splits,
    o_batch, o_head, o_row, head_dim: tl.constexpr, block_d: tl.constexpr, block_s: tl.constexpr,
):  # fmt: skip
    """One row: the mean of what the parts found, weighed by the sums of their exponentials."""
    row = tl.program_id(0).to(tl.int64)
    parts = tl.arange(0, block_s)
    features = tl.arange(0, block_d)
    is_part = parts < num_splits
    sums = tl.load(log_sums + parts * num_rows + row, mask=is_part, other=float("inf"))
    # +inf is the mark of a part with nothing to attend to.
    sums = tl.where(sums == float("inf"), float("-inf"), sums)
    largest = tl.max(sums, 0)
    is_empty = largest == float("-inf")
    shift = tl.where(is_empty, 0.0, largest)
    weights = tl.exp2((sums - shift) * LOG2_E)
    total = tl.where(is_empty, 1.0, tl.sum(weights, 0))
    place = outputs + (parts[:, None].to(tl.int64) * num_rows + row) * head_dim + features[None, :]
    found = tl.load(place, mask=is_part[:, None] & (features[None, :] < head_dim), other=0.0)
    mean = tl.sum(found * (weights / total)[:, None], 0)
    sample, head, position = row // q_len // num_heads, row // q_len % num_heads, row % q_len
    o_place = output + sample * o_batch + head * o_head + position * o_row + features
    tl.store(o_place, mean.to(output.dtype.element_ty), mask=features < head_dim)
    tl.store(log_sum + row, tl.where(is_empty, float("inf"), largest + tl.log2(total) / LOG2_E))


def merged(outputs: Tensor, log_sums: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    """`output`, filled, and the logarithms of the row sums over all keys, (B, H, Lq).

    Args:
        outputs: what each part attended to, (parts, B, H, Lq, D), float32, contiguous.
        log_sums: of each part, (parts, B, H, Lq), +inf where it has nothing to attend to.
        output: room for the result, (B, H, Lq, D), the features of a position side by side.
    """
    num_splits, batch, num_heads, query_length, head_dim = outputs.shape
    num_rows = batch * num_heads * query_length
    log_sum = torch.empty_like(log_sums[0])
    merge_kernel[(num_rows,)](
        outputs,
        log_sums,
        output,
        log_sum,
        num_rows,
        num_heads,
        query_length,
        num_splits,
        *output.stride()[:3],
        head_dim=head_dim,
        block_d=padded_head_dim(head_dim),
        block_s=1 << (num_splits - 1).bit_length(),
        **COMPILED_WITH,
    )
    return output, log_sum
