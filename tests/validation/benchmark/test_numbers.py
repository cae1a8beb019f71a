"""Formulas, errors, intervals, peaks and rates: each against a count or a case that can be worked out by hand."""

import math
import random

import pytest

from validation.benchmark.cases import AttentionCase
from validation.benchmark.datasheet import GIB, PARTS, part_of
from validation.benchmark.document import Ceiling
from validation.benchmark.formulas import moved_bytes, operations, pairs
from validation.benchmark.judging import allowed_of
from validation.benchmark.rates import attainable_flops_per_s, with_rates, with_speedups
from validation.benchmark.rows import RowOutcome
from validation.benchmark.spread import change_between, quantile, relative_error, relative_error_of_mean

from .making import CASE, measured_row


def case(**changes: object) -> AttentionCase:
    return AttentionCase.model_validate({**CASE.model_dump(), **changes})


@pytest.mark.parametrize("mode", ["forward", "decode"])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("window", [None, 1, 5, 40])
def test_pairs_are_those_that_the_mask_allows(mode: str, is_causal: bool, window: int | None) -> None:
    made = case(length=13, mode=mode, is_causal=is_causal, window=window)
    assert pairs(made) == int(allowed_of(made, range(made.queries)).sum())


def test_operations_and_bytes_of_cases_worked_out_by_hand() -> None:
    forward = case(batch=3, heads=4, kv_heads=2, length=10, head_dim=8, is_causal=False)
    assert operations(forward) == 4 * 3 * 4 * 8 * 100
    assert moved_bytes(forward) == 4 * (2 * 3 * 4 * 10 * 8 + 2 * 3 * 2 * 10 * 8)
    backward = case(batch=3, heads=4, kv_heads=2, length=10, head_dim=8, is_causal=True, mode="backward")
    assert operations(backward) == 2.5 * 4 * 3 * 4 * 8 * 55
    assert moved_bytes(backward) == 4 * (4 * 3 * 4 * 10 * 8 + 4 * 3 * 2 * 10 * 8)
    decode = case(length=10, head_dim=8, mode="decode", dtype="bfloat16")
    assert operations(decode) == 4 * 2 * 8 * 10
    assert moved_bytes(decode) == 2 * (2 * 2 * 8 + 2 * 2 * 10 * 8 + 2 * 2 * 8)


def test_quantiles_are_between_neighbours() -> None:
    assert quantile([4, 1, 3, 2, 5], 0.2) == pytest.approx(1.8)
    assert quantile([7], 0.8) == 7


def test_the_error_of_a_median_is_that_of_many_medians() -> None:
    drawn = random.Random(0)
    samples = [[round(drawn.gauss(1e6, 1e4)) for _ in range(100)] for _ in range(300)]
    found = sum(relative_error([each]) for each in samples) / len(samples)
    medians = [sorted(each)[50] for each in samples]
    truth = math.sqrt(sum((each - 1e6) ** 2 for each in medians) / len(medians)) / 1e6
    assert found == pytest.approx(truth, rel=0.15)  # 1.25 * 1e-2 / 10 for a normal distribution


def test_few_samples_tell_no_error_and_drift_between_rounds_counts() -> None:
    assert relative_error([[1, 1, 1, 1, 1]]) == math.inf
    still, drifting = [[100] * 50] * 3, [[100] * 50, [110] * 50, [120] * 50]
    assert relative_error(still) == 0
    assert relative_error(drifting) >= 10 / math.sqrt(3) / 110
    assert relative_error_of_mean([[100] * 90 + [1000] * 10]) > 0.1 > relative_error([[100] * 90 + [1000] * 10])


def test_an_interval_of_a_change_encloses_it() -> None:
    drawn = random.Random(1)

    def rounds(middle: float) -> list[list[int]]:
        return [[round(drawn.gauss(middle * shift, middle / 50)) for _ in range(30)] for shift in (0.99, 1.0, 1.01)]

    found = change_between(rounds(1e6), rounds(1.3e6))
    assert found.low < 0.3 < found.high
    assert found.excludes_zero
    same = change_between(rounds(1e6), rounds(1e6))
    assert not same.excludes_zero
    assert change_between(rounds(1e6)[:1], rounds(1e6)) is None


@pytest.mark.parametrize(
    ("name", "gib", "found"),
    [
        ("NVIDIA H100 80GB HBM3", 79.6, 989.4),
        ("NVIDIA H100 PCIe", 79.2, 756),
        ("NVIDIA A100-SXM4-40GB", 39.4, 312),
        ("NVIDIA A100-SXM4-40GB", 79.2, None),  # not the memory of that part
        ("NVIDIA H100", 79.6, None),  # not the name of any
        ("NVIDIA GeForce RTX 4090", 23.6, None),
    ],
)
def test_a_peak_is_that_of_the_exact_part_or_unknown(name: str, gib: float, found: float | None) -> None:
    part = part_of(name, int(gib * GIB))
    assert (part and part.tflops["bfloat16"]) == found


def test_the_table_has_dense_figures_with_a_source() -> None:
    assert part_of("NVIDIA H100 80GB HBM3", None) is None
    assert all(part.source and part.entered_on for part in PARTS)
    # The sparse figure of each is twice the dense one: none of them is in the table.
    assert {part.tflops["float16"] for part in PARTS}.isdisjoint({624, 1979, 1978.9, 1513, 1671, 242, 733, 309.7})
    assert next(part for part in PARTS if part.name == "Tesla T4").flops_per_s("bfloat16") is None


def test_rates_are_set_against_the_roofline_at_the_case() -> None:
    slow_memory = Ceiling(dtype="float32", flops_per_s=1e12, bytes_per_s=1e9)
    assert attainable_flops_per_s(CASE, slow_memory) == 1e9 * operations(CASE) / moved_bytes(CASE)
    fast_memory = Ceiling(dtype="float32", flops_per_s=1e10, bytes_per_s=1e12)
    assert attainable_flops_per_s(CASE, fast_memory) == 1e10
    nanoseconds = round(operations(CASE) / 1e10 * 1e9 * 2)  # twice what is possible takes
    rated = with_rates(measured_row([nanoseconds]), {"float32": fast_memory}, None)
    assert rated.rates.of_roofline == pytest.approx(0.5, rel=1e-3)
    assert rated.rates.of_datasheet is None


def test_above_the_data_sheet_is_an_error_and_no_share() -> None:
    (part,) = [part for part in PARTS if part.name == "NVIDIA L4"]
    possible = operations(CASE) / part.flops_per_s("float32") * 1e9
    row = with_rates(measured_row([max(round(possible / 2), 1)]), {}, part)
    assert row.outcome is RowOutcome.INVALID
    assert "of the data sheet's peak" in row.reason
    assert row.timing is None


def test_a_speedup_is_the_median_of_the_rounds_in_which_both_took_turns() -> None:
    base, other = measured_row([10], [20], [30]), measured_row([5], [5], [30], backend="other")
    rated = with_speedups([with_rates(row, {}, None) for row in (base, other)], "eager")
    assert [row.rates.times_faster_than_baseline for row in rated] == [1, 2]
    alone = with_speedups([with_rates(other, {}, None)], "eager")
    assert alone[0].rates.times_faster_than_baseline is None
