"""Rows as pytest-benchmark writes them, so that `pytest-benchmark compare` shows them; times are seconds there."""

import math
import statistics
from collections.abc import Sequence

from pydantic import JsonValue

from validation.benchmark.rows import Row
from validation.benchmark.spread import quantile

_NS = 1e-9
# Tukey's fences, as pytest-benchmark counts outliers; none is dropped.
_FENCE = 1.5


def benchmark_entries(rows: Sequence[Row]) -> list[dict[str, JsonValue]]:
    """Return an entry for each row with times, in the order of the rows."""
    return [_entry(row) for row in rows if row.timing is not None]


def _entry(row: Row) -> dict[str, JsonValue]:
    name = f"{row.case.id}[{row.backend.name}]"
    params: dict[str, JsonValue] = {**row.case.model_dump(mode="json"), "backend": row.backend.name}
    return {
        "group": row.case.id,
        "name": name,
        "fullname": f"bench::{name}",
        "params": params,
        "param": row.backend.name,
        "extra_info": {},
        "options": {},
        "stats": dict(_stats(row)),
    }


def _stats(row: Row) -> dict[str, float | int | str]:
    assert row.timing is not None
    times = [sample * _NS for each in row.timing.rounds_ns for sample in each]
    first, third = quantile(times, 0.25), quantile(times, 0.75)
    spread, mean = third - first, statistics.fmean(times)
    deviation = statistics.stdev(times) if len(times) > 1 else 0.0
    low, high = first - _FENCE * spread, third + _FENCE * spread
    beyond_deviation = sum(abs(time - mean) > deviation for time in times)
    beyond_fences = sum(not low <= time <= high for time in times)
    return {
        "min": min(times),
        "max": max(times),
        "mean": mean,
        "stddev": deviation,
        "median": statistics.median(times),
        "q1": first,
        "q3": third,
        "iqr": spread,
        "iqr_outliers": beyond_fences,
        "stddev_outliers": beyond_deviation,
        "outliers": f"{beyond_deviation};{beyond_fences}",
        "ld15iqr": min(time for time in times if time >= low),
        "hd15iqr": max(time for time in times if time <= high),
        "ops": 1 / mean,
        "total": math.fsum(times),  # exact: `sum` rounds otherwise from Python 3.12 on, and documents are read by both
        "rounds": len(times),
        "iterations": 1,
    }
