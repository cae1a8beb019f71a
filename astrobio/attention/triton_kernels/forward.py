"""The forward kernel: blocks of keys pass by a block of queries, and the softmax is rescaled as it goes along.

Algorithm 1 of Dao 2023 ("FlashAttention-2", arXiv:2307.08691). The logarithm of each row's sum is kept for the backward
pass; a row with nothing to attend to has the output 0 and the logarithm +inf, which makes its weights exp(s - inf) = 0.

Where queries are few, as when a token is decoded, several programs share the keys, and `splits.merged` weighs what they
found ("Flash-Decoding", crfm.stanford.edu/2023/10/12/flashdecoding.html).
"""

import torch
from torch import Tensor

from astrobio.attention.triton_kernels.configs import FEW_QUERIES_CHOICES, FORWARD_CHOICES, tuned
from astrobio.attention.triton_kernels.launch import named_strides, result_like, shared_arguments
from astrobio.attention.triton_kernels.problem import Problem
from astrobio.attention.triton_kernels.scoring import (
    LOG2_E,
    key_range,
    open_places,
    part_of_range,
    rounded,
    scored,
    sequence,
)
from astrobio.attention.triton_kernels.splits import merged, number_of_splits

try:
    import triton
    import triton.language as tl
except ImportError:
    from astrobio.attention.triton_kernels.missing import placeholders

    triton, tl = placeholders()


@triton.jit
def _attend(
    out, total, largest, q, k_base, v_base, k_row, v_row, start, end,
    rows, features, q_len, k_len, scale, soft_cap, slope, window,
    key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column,
    head_dim: tl.constexpr, block_d: tl.constexpr, block_k: tl.constexpr, is_causal: tl.constexpr,
    is_half: tl.constexpr, scale_is_folded: tl.constexpr, by_position: tl.constexpr,
):  # fmt: skip
    """Let the keys from `start` to `end` pass by; `by_position` says that some of these are out of sight."""
    precision: tl.constexpr = "tf32" if is_half else "ieee"  # half types are multiplied exactly whatever it says
    offset = k_len - q_len
    k_block = tl.arange(0, block_k)[:, None] * k_row + features[None, :]
    v_block = tl.arange(0, block_k)[:, None] * v_row + features[None, :]
    for first in range(start, end, block_k):
        columns = first + tl.arange(0, block_k)
        k_place = k_base + tl.cast(first, tl.int64) * k_row + k_block
        v_place = v_base + tl.cast(first, tl.int64) * v_row + v_block
        if by_position or head_dim != block_d:
            filled = (columns[:, None] < k_len) & (features[None, :] < head_dim)
            k = tl.load(k_place, mask=filled, other=0.0)
            v = tl.load(v_place, mask=filled, other=0.0)
        else:
            k = tl.load(k_place)
            v = tl.load(v_place)
        product = tl.dot(q, tl.trans(k), input_precision=precision)
        inside = (rows[:, None] < q_len) & (columns[None, :] < k_len)
        if scale_is_folded:
            scores = product
            factor = scale * LOG2_E
        else:
            scores, _ = scored(
                product, rows[:, None], columns[None, :], offset, scale, soft_cap, slope, bias, bias_row, bias_column,
                inside,
            )  # fmt: skip
            factor = 1.0
        if by_position or key_mask is not None or allowed is not None:
            is_open = open_places(
                rows[:, None], columns[None, :], offset, window, key_mask, allowed, allowed_row, allowed_column,
                inside, is_causal, by_position,
            )  # fmt: skip
            scores = tl.where(is_open, scores, float("-inf"))
        new_largest = tl.maximum(largest, tl.max(scores, 1))
        # Of a row that has seen nothing so far, -inf - (-inf) would be no number.
        shift = tl.where(new_largest == float("-inf"), 0.0, new_largest * factor)
        weights = tl.exp2(scores * factor - shift[:, None])
        shrunk = tl.exp2(largest * factor - shift)
        total = total * shrunk + tl.sum(weights, 1)
        out = out * shrunk[:, None]
        out = tl.dot(rounded(weights, v, is_half), v, out, input_precision=precision)
        largest = new_largest
    return out, total, largest


@tuned(FORWARD_CHOICES + FEW_QUERIES_CHOICES)
@triton.jit(do_not_specialize=["length_class", "num_splits"])
def forward_kernel(
    query, key, value, output, log_sums, starts_q, starts_k, key_mask, allowed, bias, slopes,
    scale, soft_cap, window, num_heads, group_size, q_len, k_len,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, o_batch, o_head, o_row,
    sums_batch, sums_head, mask_batch, allowed_batch, allowed_head, allowed_row, allowed_column,
    bias_batch, bias_head, bias_row, bias_column, length_class, num_splits, o_split, sums_split,
    head_dim: tl.constexpr, block_d: tl.constexpr, is_causal: tl.constexpr, is_half: tl.constexpr,
    scale_is_folded: tl.constexpr, block_q: tl.constexpr, block_k: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head, and of `num_splits` parts of its keys one."""
    num_blocks = tl.cdiv(q_len, block_q)
    split = tl.program_id(0) % num_splits
    program = tl.program_id(0) // num_splits
    first_row = (num_blocks - 1 - program % num_blocks) * block_q  # the last blocks see most keys and start first
    sample = (program // num_blocks) // num_heads
    head = (program // num_blocks) % num_heads
    first_q, q_len = sequence(sample, starts_q, q_len)
    first_k, k_len = sequence(sample, starts_k, k_len)
    if first_row >= q_len:
        return
    sample, first_q, first_k = sample.to(tl.int64), tl.cast(first_q, tl.int64), tl.cast(first_k, tl.int64)
    kv_head = head // group_size

    rows = first_row + tl.arange(0, block_q)
    features = tl.arange(0, block_d)
    filled = (rows[:, None] < q_len) & (features[None, :] < head_dim)
    q_base = query + sample * q_batch + head * q_head + (first_q + first_row) * q_row
    in_block = tl.arange(0, block_q)
    q = tl.load(q_base + in_block[:, None] * q_row + features[None, :], mask=filled, other=0.0)
    k_base = key + sample * k_batch + kv_head * k_head + first_k * k_row
    v_base = value + sample * v_batch + kv_head * v_head + first_k * v_row
    slope = None
    if slopes is not None:
        slope = tl.load(slopes + head)
    if key_mask is not None:
        key_mask += sample * mask_batch
    if allowed is not None:
        allowed += sample * allowed_batch + head * allowed_head
    if bias is not None:
        bias += sample * bias_batch + head * bias_head

    start, whole_start, whole_end, end = key_range(first_row, block_q, block_k, q_len, k_len, window, is_causal)
    start, whole_start, whole_end, end = part_of_range(
        start, whole_start, whole_end, end, split, num_splits, block_k
    )  # fmt: skip
    out = tl.zeros((block_q, block_d), dtype=tl.float32)
    total = tl.zeros((block_q,), dtype=tl.float32)
    largest = tl.full((block_q,), float("-inf"), dtype=tl.float32)
    if window is not None:
        out, total, largest = _attend(
            out, total, largest, q, k_base, v_base, k_row, v_row, start, whole_start,
            rows, features, q_len, k_len, scale, soft_cap, slope, window,
            key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column,
            head_dim, block_d, block_k, is_causal, is_half, scale_is_folded, True,
        )  # fmt: skip
    out, total, largest = _attend(
        out, total, largest, q, k_base, v_base, k_row, v_row, whole_start, whole_end,
        rows, features, q_len, k_len, scale, soft_cap, slope, window,
        key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column,
        head_dim, block_d, block_k, is_causal, is_half, scale_is_folded, False,
    )  # fmt: skip
    out, total, largest = _attend(
        out, total, largest, q, k_base, v_base, k_row, v_row, whole_end, end,
        rows, features, q_len, k_len, scale, soft_cap, slope, window,
        key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column,
        head_dim, block_d, block_k, is_causal, is_half, scale_is_folded, True,
    )  # fmt: skip

    is_empty = total == 0.0
    safe_total = tl.where(is_empty, 1.0, total)
    out = tl.where(is_empty[:, None], 0.0, out / safe_total[:, None])
    if scale_is_folded:
        largest = largest * (scale * LOG2_E)
    log_sum = tl.where(is_empty, float("inf"), (largest + tl.log2(safe_total)) / LOG2_E)
    split = split.to(tl.int64)
    o_base = output + split * o_split + sample * o_batch + head * o_head + (first_q + first_row) * o_row
    tl.store(o_base + in_block[:, None] * o_row + features[None, :], out.to(output.dtype.element_ty), mask=filled)
    sums_base = log_sums + split * sums_split + sample * sums_batch + head * sums_head + first_q
    tl.store(sums_base + rows, log_sum, mask=rows < q_len)


def forward(query: Tensor, key: Tensor, value: Tensor, problem: Problem) -> tuple[Tensor, Tensor]:
    """The attended values, shaped as the query, and the row sums' logarithms, as `Problem.row_numbers` shapes them.

    Args:
        query: (B, H, Lq, D), or (total_q, H, D) of packed sequences; the features of a position side by side.
        key: (B, Hkv, Lk, D) or (total_k, Hkv, D), likewise.
        value: as the key.
        problem: masks, settings and where packed sequences lie.
    """
    num_splits = number_of_splits(query, key, problem)
    if num_splits == 1:
        output, log_sums = result_like(query, problem), problem.row_numbers(query)
        _launch(query, key, value, problem, output[None], log_sums[None])
        return output, log_sums
    outputs = query.new_empty((num_splits, *query.shape), dtype=torch.float32)
    log_sums = outputs.new_empty(outputs.shape[:-1])
    _launch(query, key, value, problem, outputs, log_sums)
    return merged(outputs, log_sums, result_like(query, problem))


def _launch(query: Tensor, key: Tensor, value: Tensor, problem: Problem, outputs: Tensor, log_sums: Tensor) -> None:
    """Fill `outputs` and `log_sums`, which have one more dimension in front, of the parts that the keys make."""
    num_splits = len(outputs)
    sums_batch, sums_head = problem.row_strides(log_sums[0])
    query_length, _ = problem.lengths(query, key)
    num_heads = problem.num_sequences(query) * query.shape[1]
    if num_heads and query_length:
        forward_kernel[lambda chosen: (num_splits * num_heads * triton.cdiv(query_length, chosen["block_q"]),)](
            **shared_arguments(query, key, value, problem),
            **named_strides("o", problem.strides(outputs[0])),
            output=outputs,
            log_sums=log_sums,
            num_splits=num_splits,
            o_split=outputs.stride(0),
            sums_split=log_sums.stride(0),
            sums_batch=sums_batch,
            sums_head=sums_head,
            scale_is_folded=problem.is_scale_alone,
        )
