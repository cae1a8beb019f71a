"""The stop rule: settled samples end soon, noisy ones at the limit, and there is always one."""

import itertools
import math

import pytest

from audit.probe.benchmark.sampling import Rule, relative_error_of_median, sampled

RULE = Rule(relative_error=0.005, least=8, most=1000, seconds=10.0)


def ticking(step: float = 0.01):  # type: ignore[no-untyped-def]
    ticks = itertools.count()
    return lambda: next(ticks) * step


def test_settled_samples_stop_at_the_least_number() -> None:
    assert sampled(lambda: 100, RULE, ticking()) == [100] * 8


def test_noisy_samples_go_on_to_the_limit() -> None:
    values = itertools.cycle([100, 200])
    found = sampled(lambda: next(values), RULE, ticking())
    assert len(found) == 1000
    assert relative_error_of_median(found) > 0.005
    few = sampled(lambda: next(values), Rule(relative_error=0.005, least=8, most=1000, seconds=0.2), ticking())
    assert len(few) == 20


def test_bursts_do_not_settle() -> None:
    bursts = itertools.cycle([100] * 5 + [300] * 5)
    found = sampled(lambda: next(bursts), RULE, ticking())
    assert len(found) == 1000


def test_one_sample_is_taken_whatever_it_costs() -> None:
    assert sampled(lambda: 7, Rule(relative_error=0.005, least=8, most=9, seconds=0.001), ticking(1.0)) == [7]


@pytest.mark.parametrize("number", [1, 5])
def test_too_few_samples_tell_no_error(number: int) -> None:
    assert relative_error_of_median([100] * number) == math.inf
    assert relative_error_of_median([100] * 6) == 0
