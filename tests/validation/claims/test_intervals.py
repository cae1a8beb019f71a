"""The intervals, against what is known of them."""

import random
from statistics import median

import pytest

from validation.claims.intervals import FEWEST, range_of, ratio_of_medians, wilson


def test_wilson_agrees_with_published_values() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
    for right, samples, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = wilson(right, samples)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert wilson(20, 20).high == 1.0


@pytest.mark.slow
def test_the_bootstrap_holds_the_true_ratio_as_often_as_it_says() -> None:
    draw = random.Random(0)
    held = 0
    for trial in range(120):
        slow = [3.0 * draw.lognormvariate(0, 0.2) for _ in range(40)]
        fast = [1.0 * draw.lognormvariate(0, 0.2) for _ in range(40)]
        found = ratio_of_medians(slow, fast, seed=trial)
        assert found.low <= found.value <= found.high
        held += found.low <= 3.0 <= found.high
    # 95 % of 120 are 114; fewer than 104 come with a probability of 3e-5.
    assert held >= 104


def test_equal_samples_have_an_interval_without_width() -> None:
    found = ratio_of_medians([4.0] * 6, [2.0] * 6, seed=0)
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)


def test_so_many_values_lie_around_their_median_as_often_as_is_said() -> None:
    draw = random.Random(1)
    trials = [[draw.random() for _ in range(FEWEST)] for _ in range(4000)]
    held = sum(min(values) <= 0.5 <= max(values) for values in trials)
    assert held / 4000 == pytest.approx(1 - 2 ** (1 - FEWEST), abs=0.01)
    assert "96.8%" in range_of(trials[0], "six").how
    assert range_of(trials[0], "six").value == median(trials[0])
