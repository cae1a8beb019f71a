"""Operations and bytes of a call of attention, by the formulas that a report states."""

from validation.benchmark.cases import BYTES_OF, AttentionCase, Mode

# Five products of the size of the forward pass's two: the scores again, and one for each gradient of scores' operands,
# weights and values (Dao 2023, arXiv:2307.08691, section 4.1).
_BACKWARD = 2.5

FORMULAS = {
    "operations": "4 * B * H * D * (pairs of a query and a key that it sees) forward and in decode, 2.5 times as many "
    "backward",
    "bytes": "elements of query, key, value and output, each once, times the bytes of the dtype; backward reads these "
    "and the output's gradient and writes three gradients; decode also writes one key and one value",
    "roofline": "rate / min(matmul ceiling, copy ceiling * operations / bytes), ceilings measured in the same run",
    "datasheet": "rate / dense peak of the dtype, for the exact name and memory of the device; unknown where the table "
    "has no entry",
    "relative_standard_error": "of the median: the larger of (order statistics that enclose it with 95 %, pooled) / "
    "(2 * 1.96 * median) and (standard deviation of the medians of the rounds) / sqrt(rounds) / median",
}


def pairs(case: AttentionCase) -> int:
    """Return how many pairs of a query and a key that it sees each head has."""
    first = case.length - case.queries
    return sum(_seen(case, first + row) for row in range(case.queries))


def _seen(case: AttentionCase, position: int) -> int:
    low, high = 0, case.length - 1
    if case.window is not None:
        low, high = max(low, position - case.window + 1), min(high, position + case.window - 1)
    return (min(high, position) if case.is_causal else high) - low + 1


def operations(case: AttentionCase) -> float:
    """Return multiplications and additions that the result takes."""
    forward = 4.0 * case.batch * case.heads * case.head_dim * pairs(case)
    return forward * (_BACKWARD if case.mode is Mode.BACKWARD else 1.0)


def moved_bytes(case: AttentionCase) -> float:
    """Return the bytes that must be read or written at least."""
    of_query = case.batch * case.heads * case.queries * case.head_dim
    of_key = case.batch * case.kv_heads * case.length * case.head_dim
    elements = 2 * of_query + 2 * of_key
    if case.mode is Mode.BACKWARD:
        elements += 2 * of_query + 2 * of_key  # the output's gradient and the query's; the keys' and the values'
    if case.mode is Mode.DECODE:
        elements += 2 * case.batch * case.kv_heads * case.head_dim
    return float(elements * BYTES_OF[case.dtype])
