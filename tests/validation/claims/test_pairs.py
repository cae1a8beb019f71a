"""Claims on two callables: what is as fast or small as is said, what is not, and what cannot be compared."""

from collections.abc import Callable

import pytest

from audit.results import Result

SPEED = """
kind = "speed_ratio"
baseline = "zoo.measured:{baseline}"
candidate = "zoo.measured:{candidate}"
inputs = "zoo.measured:inputs"
pairs = {pairs}
{more}
"""
MEMORY = """
kind = "memory_ratio"
baseline = "zoo.measured:{baseline}"
candidate = "zoo.measured:{candidate}"
inputs = "zoo.measured:inputs"
{more}
"""
Measure = Callable[..., Result]


def speed(baseline: str, candidate: str, more: str = "at_least = 2.0", pairs: int = 8) -> str:
    return SPEED.format(baseline=baseline, candidate=candidate, more=more, pairs=pairs)


def memory(baseline: str, candidate: str, more: str = "at_most = 0.5") -> str:
    return MEMORY.format(baseline=baseline, candidate=candidate, more=more)


def test_what_is_many_times_as_fast_is_verified_with_its_interval(measured: Measure) -> None:
    found = measured(speed("slow", "fast"))
    assert (found.check, found.outcome) == ("claims.speed_ratio", "passed")
    (interval, baseline, candidate) = found.evidence.series
    low, high = interval.y
    assert isinstance(low, float)
    assert isinstance(found.evidence.measured, float)
    assert 2.0 <= low <= found.evidence.measured <= high
    assert len(baseline.y) == len(candidate.y) == 8
    assert "bootstrap of the medians over 8 pairs" in (found.evidence.unit or "")
    assert "'it holds'" in (found.reason or "")


def test_the_same_claim_with_the_two_exchanged_is_refuted(measured: Measure) -> None:
    found = measured(speed("fast", "slow"))
    assert found.outcome == "failed"
    assert (found.reason or "").startswith("refuted: 'it holds', that is >= 2")


def test_a_function_is_not_seen_to_be_faster_or_slower_than_itself(measured: Measure) -> None:
    found = measured(speed("fast", "fast", more="at_least = 1000.0"))
    assert found.outcome == "failed"


@pytest.mark.parametrize("make", [speed, memory])
def test_what_computes_something_else_is_refuted_before_it_is_measured(
    measured: Measure, make: Callable[..., str]
) -> None:
    found = measured(make("slow", "wrong"))
    assert found.outcome == "failed"
    assert "the two do not compute the same" in (found.reason or "")
    assert found.evidence.unit == "largest difference"


@pytest.mark.slow
def test_what_computes_something_else_once_it_is_timed_is_refuted(measured: Measure) -> None:
    found = measured(speed("slow", "wrong_later"))
    assert found.outcome == "failed"
    assert "on the inputs that were timed last" in (found.reason or "")


def test_a_candidate_that_raises_refutes_the_claim(measured: Measure) -> None:
    found = measured(speed("slow", "raises"))
    assert found.outcome == "failed"
    assert "candidate raised RuntimeError" in (found.reason or "")
    assert found.location is not None
    assert found.location.path == "zoo/measured.py"


def test_a_baseline_that_raises_leaves_it_unmeasured(measured: Measure) -> None:
    assert measured(speed("raises", "fast")).outcome == "error"


def test_a_baseline_whose_output_does_not_depend_on_its_input_says_nothing(measured: Measure) -> None:
    found = measured(speed("constant", "constant"))
    assert found.outcome == "error"
    assert "the same output for other inputs" in (found.reason or "")


def test_a_baseline_that_knows_float32_alone_needs_another_that_is_exact(measured: Measure) -> None:
    found = measured(speed("only_float32", "fast"))
    assert found.outcome == "error"
    assert "`exact`" in (found.fix or "")
    again = measured(speed("only_float32", "fast", more='at_least = 1e-6\nexact = "zoo.measured:fast"'))
    assert again.outcome == "passed"


@pytest.mark.slow
def test_too_little_time_for_the_samples_is_undecided(measured: Measure) -> None:
    # Six pairs take 3.6 s, after 3 s for comparing the two and warming them up.
    found = measured(speed("very_slow", "very_slow", more="at_least = 2.0\ntimeout_s = 5.0", pairs=10_000))
    assert found.outcome == "error"
    assert any(words in (found.reason or "") for words in ("needs more samples", "timed out"))


def test_a_path_with_less_memory_is_verified_and_its_opposite_refuted(measured: Measure) -> None:
    found = measured(memory("large", "small"))
    assert found.outcome == "passed"
    # 64 x 64 floats; the other holds 50 times as many, the product with them, and their sum.
    assert [series.y for series in found.evidence.series[2:]] == [(64 * 64 * 4.0,) * 6]
    assert min(found.evidence.series[1].y) > 50 * 64 * 64 * 4
    assert measured(memory("small", "large")).outcome == "failed"
