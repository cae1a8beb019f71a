"""Pieces that forward and backward kernels share: scores, masks, and which blocks hold anything to compute.

`row` and `column` are positions of queries and keys, shaped so that they broadcast to the block of scores: the kernel
for the gradients of keys and values holds it the other way round. Exponentials are taken to base 2.
"""

try:
    import triton
    import triton.language as tl
except ImportError:
    from astrobio.attention.triton_kernels.missing import placeholders

    triton, tl = placeholders()


LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)


@triton.jit
def tanh(x):
    """tanh, to float32's accuracy: a series near 0, where the exponentials would cancel (its next term is 2e-9)."""
    square = x * x
    series = x * (1 + square * (-1 / 3 + square * (2 / 15 + square * (-17 / 315 + square * (62 / 2835)))))
    shrunk = tl.exp2(tl.abs(x) * (-2 * LOG2_E))
    ratio = (1 - shrunk) / (1 + shrunk)
    return tl.where(tl.abs(x) < 0.25, series, tl.where(x < 0, -ratio, ratio))


@triton.jit
def rounded(x, like, is_half: tl.constexpr):
    """`x` in the dtype of `like`, in which it is multiplied next.

    Triton's interpreter cuts off float32 where it should round to bfloat16, and multiplies the bits of bfloat16 as
    integers; so there bfloat16 arrives as float32, and only here its lower bits are rounded away.
    """
    if is_half and like.dtype == tl.float32:
        bits = x.to(tl.int32, bitcast=True)
        bits += 0x7FFF + ((bits >> 16) & 1)  # to nearest, halves to even
        return (bits & -65536).to(tl.float32, bitcast=True)
    else:
        return x.to(like.dtype)


@triton.jit
def scored(product, row, column, offset, scale, soft_cap, slope, bias, bias_row, bias_column, inside):
    """The scores to base 2, and tanh(scale * product / soft_cap), by which the gradient of a capped score shrinks.

    Without a cap the second is the product itself, and of no use.
    """
    capped = product
    if soft_cap is not None:
        capped = tanh(product * (scale / soft_cap))
        scores = capped * (soft_cap * LOG2_E)
    else:
        scores = product * (scale * LOG2_E)
    if slope is not None:
        scores -= tl.abs(row + offset - column).to(tl.float32) * (slope * LOG2_E)
    if bias is not None:
        place = bias + row.to(tl.int64) * bias_row + column.to(tl.int64) * bias_column
        scores += tl.load(place, mask=inside, other=0.0).to(tl.float32) * LOG2_E
    return scores, capped


@triton.jit
def open_places(
    row, column, offset, window, key_mask, allowed, allowed_row, allowed_column, inside,
    is_causal: tl.constexpr, by_position: tl.constexpr,
):  # fmt: skip
    """Where a query may attend, among the places inside both sequences."""
    is_open = inside
    if by_position:
        ahead = row + offset - column
        if is_causal:
            is_open = is_open & (ahead >= 0)
        if window is not None:
            is_open = is_open & (tl.abs(ahead) < window)
    if key_mask is not None:
        is_open = is_open & (tl.load(key_mask + column, mask=inside, other=0) != 0)
    if allowed is not None:
        place = allowed + row.to(tl.int64) * allowed_row + column.to(tl.int64) * allowed_column
        is_open = is_open & (tl.load(place, mask=inside, other=0) != 0)
    return is_open


@triton.jit
def key_range(
    first_row, block_rows: tl.constexpr, block_columns: tl.constexpr, q_len, k_len, window, is_causal: tl.constexpr
):
    """Which keys a block of queries sees: (start, start of the blocks seen whole, their end, end).

    All but the end are multiples of the block of keys. Between start and end everything may be closed by a mask.
    """
    offset = k_len - q_len
    last_row = tl.minimum(first_row + block_rows, q_len) - 1
    end = k_len
    whole_end = k_len
    if is_causal:
        end = tl.minimum(end, last_row + offset + 1)
        whole_end = tl.minimum(whole_end, first_row + offset + 1)  # no mutant: fewer blocks count as whole
    start = 0
    whole_start = 0
    if window is not None:
        if not is_causal:
            end = tl.minimum(end, last_row + offset + window)
            whole_end = tl.minimum(whole_end, first_row + offset + window)  # no mutant: fewer blocks count as whole
        first = first_row + offset - window + 1  # no mutant: what comes before is hidden, and costs time only
        start = tl.maximum(first, 0) // block_columns * block_columns
        whole_start = tl.cdiv(tl.maximum(last_row + offset - window + 1, 0), block_columns) * block_columns
    end = tl.maximum(end, start)
    past_end = tl.cdiv(end, block_columns) * block_columns
    whole_start = tl.minimum(tl.maximum(whole_start, start), past_end)
    whole_end = tl.maximum(tl.maximum(whole_end, 0) // block_columns * block_columns, whole_start)
    return start, whole_start, whole_end, end


@triton.jit
def part_of_range(start, whole_start, whole_end, end, part, num_parts, block_columns: tl.constexpr):
    """What `key_range` returned, of it the part with this number: as many blocks of keys in each, fewer in the last."""
    num_blocks = tl.cdiv(end - start, block_columns)
    past_end = start + num_blocks * block_columns
    width = tl.cdiv(num_blocks, num_parts) * block_columns
    first = tl.minimum(start + part * width, past_end)
    past = tl.minimum(first + width, past_end)
    whole_start = tl.minimum(tl.maximum(whole_start, first), past)
    whole_end = tl.minimum(tl.maximum(whole_end, first), past)
    return first, whole_start, whole_end, tl.minimum(end, past)


@triton.jit
def query_range(
    first_column, block_rows: tl.constexpr, block_columns: tl.constexpr, q_len, k_len, window, is_causal: tl.constexpr
):
    """Which queries see a block of keys, as `key_range` says of keys; multiples of the block of queries."""
    offset = k_len - q_len
    last_column = tl.minimum(first_column + block_columns, k_len) - 1
    start = 0
    whole_start = 0
    end = q_len
    whole_end = q_len
    if is_causal:
        start = first_column - offset
        whole_start = last_column - offset
    if window is not None:
        if not is_causal:
            start = first_column - offset - window + 1
            whole_start = last_column - offset - window + 1
        end = tl.minimum(end, last_column - offset + window)
        whole_end = tl.minimum(whole_end, first_column - offset + window)
    start = tl.maximum(start, 0) // block_rows * block_rows
    end = tl.maximum(end, start)
    past_end = tl.cdiv(end, block_rows) * block_rows
    whole_start = tl.cdiv(tl.maximum(whole_start, 0), block_rows) * block_rows
    whole_start = tl.minimum(tl.maximum(whole_start, start), past_end)
    whole_end = tl.maximum(tl.maximum(whole_end, 0) // block_rows * block_rows, whole_start)
    return start, whole_start, whole_end, end


@triton.jit
def sequence(sample, starts, length):
    """Where the positions of a sample begin, and how many they are; (0, `length`) unless sequences are packed."""
    first = 0
    if starts is not None:
        first = tl.load(starts + sample)
        length = tl.load(starts + sample + 1) - first
    return first, length
