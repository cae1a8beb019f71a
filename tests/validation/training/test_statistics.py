"""The intervals against known values and against sequences whose growth is known."""

import math
import random

import pytest

from validation.training.statistics import growth, percentile, student_quantile, upper_limit_of_mean


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    # Tables of Student's distribution, 97.5 %.
    [(1, 12.706), (2, 4.303), (7, 2.365), (30, 2.042)],
)
def test_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    assert student_quantile(0.975, degrees) == pytest.approx(quantile, abs=5e-4)


def test_the_upper_limit_is_above_the_mean_by_the_standard_error() -> None:
    assert upper_limit_of_mean([1.0, 2.0, 3.0]) == pytest.approx(2.0 + 4.303 / math.sqrt(3), abs=1e-3)


def test_steady_growth_has_a_tight_interval() -> None:
    found = growth([3.0 * index for index in range(30)])
    assert found == (3.0, 3.0, 3.0)


def test_a_single_jump_is_no_growth() -> None:
    found = growth([0.0] * 12 + [1e6] * 12)
    assert found == (0.0, 0.0, 0.0)


def test_growth_under_noise_is_found_and_noise_alone_is_not() -> None:
    chance = random.Random(0)
    noisy = [chance.gauss(0.0, 1.0) for _ in range(31)]
    alone, grown = growth(noisy), growth([value + 4.0 * index for index, value in enumerate(noisy)])
    assert alone is not None
    assert alone.lower < 0.0 < alone.upper
    assert grown is not None
    assert grown.lower > 0.0


def test_few_looks_have_no_interval() -> None:
    assert growth([0.0, 1.0, 2.0, 3.0]) is None
    assert growth([]) is None


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert percentile([4.0, 1.0, 2.0, 3.0], 0.5) == 2.5
    assert percentile([7.0], 0.99) == 7.0
