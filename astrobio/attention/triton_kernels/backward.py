"""The backward kernels: weights are computed anew from the kept logarithms of the row sums.

Algorithm 2 of Dao 2023 ("FlashAttention-2", arXiv:2307.08691), in two kernels so that every gradient has one writer and
the sums do not depend on the order in which blocks run: one walks over the queries for a block of keys and values, the
other over the keys for a block of queries. Query heads that share a key head are added up inside the first.
"""

from astrobio.attention.triton_kernels.configs import KEY_VALUE_CHOICES, QUERY_CHOICES, tuned
from astrobio.attention.triton_kernels.scoring import (
    LOG2_E,
    key_range,
    open_places,
    query_range,
    rounded,
    scored,
    sequence,
)

try:
    import triton
    import triton.language as tl
except ImportError:
    from astrobio.attention.triton_kernels.missing import placeholders

    triton, tl = placeholders()


@triton.jit
def delta_kernel(
    output, gradient, delta, starts_q, num_heads, q_len,
    o_batch, o_head, o_row, g_batch, g_head, g_row, sums_batch, sums_head,
    head_dim: tl.constexpr, block_d: tl.constexpr, block_q: tl.constexpr,
):  # fmt: skip
    """The sum of output * gradient over the features of each query: what the softmax takes off the scores' gradient."""
    num_blocks = tl.cdiv(q_len, block_q)
    program = tl.program_id(0)
    first_row = program % num_blocks * block_q
    sample = (program // num_blocks) // num_heads
    head = (program // num_blocks) % num_heads
    first_q, q_len = sequence(sample, starts_q, q_len)
    sample, first_q = sample.to(tl.int64), tl.cast(first_q, tl.int64)
    in_block = tl.arange(0, block_q)
    rows = first_row + in_block
    features = tl.arange(0, block_d)
    filled = (rows[:, None] < q_len) & (features[None, :] < head_dim)
    o_base = output + sample * o_batch + head * o_head + (first_q + first_row) * o_row
    g_base = gradient + sample * g_batch + head * g_head + (first_q + first_row) * g_row
    o = tl.load(o_base + in_block[:, None] * o_row + features[None, :], mask=filled, other=0.0).to(tl.float32)
    g = tl.load(g_base + in_block[:, None] * g_row + features[None, :], mask=filled, other=0.0).to(tl.float32)
    place = delta + sample * sums_batch + head * sums_head + first_q + rows
    tl.store(place, tl.sum(o * g, 1), mask=rows < q_len)


@triton.jit
def _gradients_of_scores(
    product, weight_gradient, row, column, log_sum, row_delta, q_len, k_len, scale, soft_cap, slope, window,
    key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column,
    is_causal: tl.constexpr, by_position: tl.constexpr,
):  # fmt: skip
    """The weights, and the gradient of the products of queries and keys, but for the factor `scale`."""
    inside = (row < q_len) & (column < k_len)
    offset = k_len - q_len
    scores, capped = scored(product, row, column, offset, scale, soft_cap, slope, bias, bias_row, bias_column, inside)
    weights = tl.exp2(scores - log_sum * LOG2_E)
    if by_position or key_mask is not None or allowed is not None:
        is_open = open_places(
            row, column, offset, window, key_mask, allowed, allowed_row, allowed_column, inside, is_causal, by_position
        )
        weights = tl.where(is_open, weights, 0.0)
    score_gradient = weights * (weight_gradient - row_delta)
    if soft_cap is not None:
        score_gradient = score_gradient * (1 - capped * capped)
    return weights, score_gradient


@triton.jit
def _add_queries(
    k_gradient, v_gradient, k, v, q_base, g_base, sums_base, delta_base, q_row, g_row, start, end,
    columns, features, q_len, k_len, scale, soft_cap, slope, window,
    key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column,
    head_dim: tl.constexpr, block_d: tl.constexpr, block_q: tl.constexpr, is_causal: tl.constexpr,
    is_half: tl.constexpr, by_position: tl.constexpr,
):  # fmt: skip
    """Add what the queries from `start` to `end` contribute; blocks of scores are (keys, queries)."""
    precision: tl.constexpr = "tf32" if is_half else "ieee"
    in_block = tl.arange(0, block_q)
    q_block = in_block[:, None] * q_row + features[None, :]
    g_block = in_block[:, None] * g_row + features[None, :]
    for first in range(start, end, block_q):
        rows = first + in_block
        q_place = q_base + tl.cast(first, tl.int64) * q_row + q_block
        g_place = g_base + tl.cast(first, tl.int64) * g_row + g_block
        if by_position or head_dim != block_d:
            filled = (rows[:, None] < q_len) & (features[None, :] < head_dim)
            q = tl.load(q_place, mask=filled, other=0.0)
            g = tl.load(g_place, mask=filled, other=0.0)
        else:
            q = tl.load(q_place)
            g = tl.load(g_place)
        log_sum = tl.load(sums_base + rows, mask=rows < q_len, other=float("inf"))
        row_delta = tl.load(delta_base + rows, mask=rows < q_len, other=0.0)
        product = tl.dot(k, tl.trans(q), input_precision=precision)
        weight_gradient = tl.dot(v, tl.trans(g), input_precision=precision)
        weights, score_gradient = _gradients_of_scores(
            product, weight_gradient, rows[None, :], columns[:, None], log_sum[None, :], row_delta[None, :],
            q_len, k_len, scale, soft_cap, slope, window,
            key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column, is_causal, by_position,
        )  # fmt: skip
        v_gradient = tl.dot(rounded(weights, g, is_half), g, v_gradient, input_precision=precision)
        k_gradient = tl.dot(rounded(score_gradient, q, is_half), q, k_gradient, input_precision=precision)
    return k_gradient, v_gradient


@tuned(KEY_VALUE_CHOICES)
@triton.jit(do_not_specialize=["length_class"])
def key_value_kernel(
    query, key, value, gradient, log_sums, delta, key_gradient, value_gradient,
    starts_q, starts_k, key_mask, allowed, bias, slopes,
    scale, soft_cap, window, num_heads, group_size, q_len, k_len,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, g_batch, g_head, g_row,
    dk_batch, dk_head, dk_row, dv_batch, dv_head, dv_row,
    sums_batch, sums_head, mask_batch, allowed_batch, allowed_head, allowed_row, allowed_column,
    bias_batch, bias_head, bias_row, bias_column, length_class,
    head_dim: tl.constexpr, block_d: tl.constexpr, is_causal: tl.constexpr, is_half: tl.constexpr,
    block_q: tl.constexpr, block_k: tl.constexpr,
):  # fmt: skip
    """One block of keys and values of one key/value head."""
    num_blocks = tl.cdiv(k_len, block_k)
    kv_heads = num_heads // group_size
    program = tl.program_id(0)
    first_column = program % num_blocks * block_k  # the first blocks are seen by most queries and start first
    sample = (program // num_blocks) // kv_heads
    kv_head = (program // num_blocks) % kv_heads
    first_q, q_len = sequence(sample, starts_q, q_len)
    first_k, k_len = sequence(sample, starts_k, k_len)
    if first_column >= k_len:
        return
    sample, first_q, first_k = sample.to(tl.int64), tl.cast(first_q, tl.int64), tl.cast(first_k, tl.int64)

    in_block = tl.arange(0, block_k)
    columns = first_column + in_block
    features = tl.arange(0, block_d)
    filled = (columns[:, None] < k_len) & (features[None, :] < head_dim)
    k_base = key + sample * k_batch + kv_head * k_head + (first_k + first_column) * k_row
    v_base = value + sample * v_batch + kv_head * v_head + (first_k + first_column) * v_row
    k = tl.load(k_base + in_block[:, None] * k_row + features[None, :], mask=filled, other=0.0)
    v = tl.load(v_base + in_block[:, None] * v_row + features[None, :], mask=filled, other=0.0)
    if key_mask is not None:
        key_mask += sample * mask_batch

    start, whole_start, whole_end, end = query_range(first_column, block_q, block_k, q_len, k_len, window, is_causal)
    dk = tl.zeros((block_k, block_d), dtype=tl.float32)
    dv = tl.zeros((block_k, block_d), dtype=tl.float32)
    for head in range(kv_head * group_size, (kv_head + 1) * group_size):
        q_base = query + sample * q_batch + head * q_head + first_q * q_row
        g_base = gradient + sample * g_batch + head * g_head + first_q * g_row
        sums_base = log_sums + sample * sums_batch + head * sums_head + first_q
        delta_base = delta + sample * sums_batch + head * sums_head + first_q
        slope = None
        if slopes is not None:
            slope = tl.load(slopes + head)
        head_allowed = None
        if allowed is not None:
            head_allowed = allowed + sample * allowed_batch + head * allowed_head
        head_bias = None
        if bias is not None:
            head_bias = bias + sample * bias_batch + head * bias_head
        if is_causal or window is not None:
            dk, dv = _add_queries(
                dk, dv, k, v, q_base, g_base, sums_base, delta_base, q_row, g_row, start, whole_start,
                columns, features, q_len, k_len, scale, soft_cap, slope, window,
                key_mask, head_allowed, allowed_row, allowed_column, head_bias, bias_row, bias_column,
                head_dim, block_d, block_q, is_causal, is_half, True,
            )  # fmt: skip
        dk, dv = _add_queries(
            dk, dv, k, v, q_base, g_base, sums_base, delta_base, q_row, g_row, whole_start, whole_end,
            columns, features, q_len, k_len, scale, soft_cap, slope, window,
            key_mask, head_allowed, allowed_row, allowed_column, head_bias, bias_row, bias_column,
            head_dim, block_d, block_q, is_causal, is_half, False,
        )  # fmt: skip
        dk, dv = _add_queries(
            dk, dv, k, v, q_base, g_base, sums_base, delta_base, q_row, g_row, whole_end, end,
            columns, features, q_len, k_len, scale, soft_cap, slope, window,
            key_mask, head_allowed, allowed_row, allowed_column, head_bias, bias_row, bias_column,
            head_dim, block_d, block_q, is_causal, is_half, True,
        )  # fmt: skip
    dk_base = key_gradient + sample * dk_batch + kv_head * dk_head + (first_k + first_column) * dk_row
    dv_base = value_gradient + sample * dv_batch + kv_head * dv_head + (first_k + first_column) * dv_row
    dk = (dk * scale).to(key_gradient.dtype.element_ty)
    tl.store(dk_base + in_block[:, None] * dk_row + features[None, :], dk, mask=filled)
    tl.store(
        dv_base + in_block[:, None] * dv_row + features[None, :], dv.to(value_gradient.dtype.element_ty), mask=filled
    )


@triton.jit
def _add_keys(
    q_gradient, q, g, log_sum, row_delta, k_base, v_base, k_row, v_row, start, end,
    rows, features, q_len, k_len, scale, soft_cap, slope, window,
    key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column,
    head_dim: tl.constexpr, block_d: tl.constexpr, block_k: tl.constexpr, is_causal: tl.constexpr,
    is_half: tl.constexpr, by_position: tl.constexpr,
):  # fmt: skip
    """Add what the keys from `start` to `end` contribute; blocks of scores are (queries, keys)."""
    precision: tl.constexpr = "tf32" if is_half else "ieee"
    in_block = tl.arange(0, block_k)
    k_block = in_block[:, None] * k_row + features[None, :]
    v_block = in_block[:, None] * v_row + features[None, :]
    for first in range(start, end, block_k):
        columns = first + in_block
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
        weight_gradient = tl.dot(g, tl.trans(v), input_precision=precision)
        _, score_gradient = _gradients_of_scores(
            product, weight_gradient, rows[:, None], columns[None, :], log_sum[:, None], row_delta[:, None],
            q_len, k_len, scale, soft_cap, slope, window,
            key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column, is_causal, by_position,
        )  # fmt: skip
        q_gradient = tl.dot(rounded(score_gradient, k, is_half), k, q_gradient, input_precision=precision)
    return q_gradient


@tuned(QUERY_CHOICES)
@triton.jit(do_not_specialize=["length_class"])
def query_kernel(
    query, key, value, gradient, log_sums, delta, query_gradient,
    starts_q, starts_k, key_mask, allowed, bias, slopes,
    scale, soft_cap, window, num_heads, group_size, q_len, k_len,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, g_batch, g_head, g_row,
    dq_batch, dq_head, dq_row,
    sums_batch, sums_head, mask_batch, allowed_batch, allowed_head, allowed_row, allowed_column,
    bias_batch, bias_head, bias_row, bias_column, length_class,
    head_dim: tl.constexpr, block_d: tl.constexpr, is_causal: tl.constexpr, is_half: tl.constexpr,
    block_q: tl.constexpr, block_k: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head."""
    num_blocks = tl.cdiv(q_len, block_q)
    program = tl.program_id(0)
    first_row = (num_blocks - 1 - program % num_blocks) * block_q
    sample = (program // num_blocks) // num_heads
    head = (program // num_blocks) % num_heads
    first_q, q_len = sequence(sample, starts_q, q_len)
    first_k, k_len = sequence(sample, starts_k, k_len)
    if first_row >= q_len:
        return
    sample, first_q, first_k = sample.to(tl.int64), tl.cast(first_q, tl.int64), tl.cast(first_k, tl.int64)
    kv_head = head // group_size

    in_block = tl.arange(0, block_q)
    rows = first_row + in_block
    features = tl.arange(0, block_d)
    filled = (rows[:, None] < q_len) & (features[None, :] < head_dim)
    q_base = query + sample * q_batch + head * q_head + (first_q + first_row) * q_row
    g_base = gradient + sample * g_batch + head * g_head + (first_q + first_row) * g_row
    q = tl.load(q_base + in_block[:, None] * q_row + features[None, :], mask=filled, other=0.0)
    g = tl.load(g_base + in_block[:, None] * g_row + features[None, :], mask=filled, other=0.0)
    sums_place = sample * sums_batch + head * sums_head + first_q + rows
    log_sum = tl.load(log_sums + sums_place, mask=rows < q_len, other=float("inf"))
    row_delta = tl.load(delta + sums_place, mask=rows < q_len, other=0.0)
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
    dq = tl.zeros((block_q, block_d), dtype=tl.float32)
    if window is not None:
        dq = _add_keys(
            dq, q, g, log_sum, row_delta, k_base, v_base, k_row, v_row, start, whole_start,
            rows, features, q_len, k_len, scale, soft_cap, slope, window,
            key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column,
            head_dim, block_d, block_k, is_causal, is_half, True,
        )  # fmt: skip
    dq = _add_keys(
        dq, q, g, log_sum, row_delta, k_base, v_base, k_row, v_row, whole_start, whole_end,
        rows, features, q_len, k_len, scale, soft_cap, slope, window,
        key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column,
        head_dim, block_d, block_k, is_causal, is_half, False,
    )  # fmt: skip
    dq = _add_keys(
        dq, q, g, log_sum, row_delta, k_base, v_base, k_row, v_row, whole_end, end,
        rows, features, q_len, k_len, scale, soft_cap, slope, window,
        key_mask, allowed, allowed_row, allowed_column, bias, bias_row, bias_column,
        head_dim, block_d, block_k, is_causal, is_half, True,
    )  # fmt: skip
    dq_base = query_gradient + sample * dq_batch + head * dq_head + (first_q + first_row) * dq_row
    dq = (dq * scale).to(query_gradient.dtype.element_ty)
    tl.store(dq_base + in_block[:, None] * dq_row + features[None, :], dq, mask=filled)
