"""Rates from times, and their shares of what the device can; a share above one is an error of the measurement."""

import statistics
from collections.abc import Mapping, Sequence

from validation.benchmark.cases import AttentionCase
from validation.benchmark.datasheet import Part
from validation.benchmark.document import Ceiling
from validation.benchmark.formulas import moved_bytes, operations
from validation.benchmark.rows import Rates, Row, RowOutcome


def attainable_flops_per_s(case: AttentionCase, ceiling: Ceiling) -> float:
    """Return the roofline at the case's operations per byte (Williams et al. 2009, doi:10.1145/1498765.1498785)."""
    return min(ceiling.flops_per_s, ceiling.bytes_per_s * operations(case) / moved_bytes(case))


def exceeds(row: Row, ceiling: Ceiling | None) -> bool:
    """Whether the row is faster than the roofline."""
    if row.timing is None or not isinstance(row.case, AttentionCase) or ceiling is None:
        return False
    rate = operations(row.case) / (row.timing.median_ns / 1e9)
    return rate > attainable_flops_per_s(row.case, ceiling)


def with_rates(row: Row, ceilings: Mapping[str, Ceiling], part: Part | None) -> Row:
    """Return a measured row with its rates, or an invalid one without times where it is faster than is possible."""
    if row.timing is None:
        return row
    seconds = row.timing.median_ns / 1e9
    case = row.case
    if not isinstance(case, AttentionCase):
        return _replaced(row, rates=Rates(items_per_s=case.batch / seconds))
    work, moved = operations(case), moved_bytes(case)
    rate, bandwidth = work / seconds, moved / seconds
    ceiling = ceilings.get(case.dtype)
    roof = None if ceiling is None else attainable_flops_per_s(case, ceiling)
    peak = None if part is None else part.flops_per_s(case.dtype)
    stated = None if part is None else part.bandwidth_gbytes_per_s * 1e9
    shares = {
        "the measured roofline": None if roof is None else rate / roof,
        "the data sheet's peak": None if peak is None else rate / peak,
        "the data sheet's bandwidth": None if stated is None else bandwidth / stated,
    }
    beyond = [f"{share:.0%} of {name}" for name, share in shares.items() if share is not None and share > 1]
    if beyond:
        reason = (
            f"the measurement is wrong: {rate / 1e12:.3g} TFLOP/s and {bandwidth / 1e9:.3g} GB/s are "
            f"{' and '.join(beyond)}; above 100 % is never a result"
        )
        return _replaced(row, outcome=RowOutcome.INVALID, reason=reason, timing=None)
    of_roofline, of_peak, of_bandwidth = shares.values()
    return _replaced(
        row,
        rates=Rates(
            operations=work,
            moved_bytes=moved,
            tflops_per_s=rate / 1e12,
            gbytes_per_s=bandwidth / 1e9,
            of_roofline=of_roofline,
            of_datasheet=of_peak,
            of_datasheet_bandwidth=of_bandwidth,
        ),
    )


def with_speedups(rows: Sequence[Row], baseline: str) -> tuple[Row, ...]:
    """Return the rows, each with how many times faster it is than the baseline on the same case."""
    times = {row.key: row.timing.rounds_ns for row in rows if row.timing is not None}
    compared: list[Row] = []
    for row in rows:
        base, own = times.get((row.case.id, baseline)), times.get(row.key)
        if base is None or own is None or row.rates is None:
            compared.append(row)
            continue
        ratios = [statistics.median(old) / statistics.median(new) for old, new in zip(base, own, strict=False)]
        rates = row.rates.model_copy(update={"times_faster_than_baseline": statistics.median(ratios)})
        compared.append(_replaced(row, rates=rates))
    return tuple(compared)


def _replaced(row: Row, **changes: object) -> Row:
    """Return the row with changes, validated, which `model_copy` does not do."""
    return Row.model_validate({**{name: getattr(row, name) for name in Row.model_fields}, **changes})
