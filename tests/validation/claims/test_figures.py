"""Claims on the target's own figures, by a callable and by a command."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.results import Result

Measure = Callable[..., Result]
COMMAND = 'command = ["{python}", "-m", "zoo.measured", "{seed}"]'


def accuracy(measure: str, bound: str) -> str:
    return f'kind = "accuracy"\nmeasure = "zoo.measured:{measure}"\n{bound}'


def metric(measure: str, bound: str) -> str:
    return f'kind = "metric"\nmeasure = "zoo.measured:{measure}"\n{bound}'


@pytest.mark.parametrize(
    ("bound", "outcome", "word"),
    [
        # 980 of 1000 are right. The limits w of Wilson's interval solve 1000 (0.98 - w)^2 = 1.959964^2 w (1 - w).
        ("at_least = 0.96", "passed", "verified"),
        ("at_least = 0.99", "failed", "refuted"),
        ("at_least = 0.975", "error", "undecided"),
        ("at_least = 0.985", "error", "undecided"),
        ("at_most = 0.99", "passed", "verified"),
        ("at_most = 0.96", "failed", "refuted"),
    ],
)
def test_an_accuracy_is_judged_by_its_interval(measured: Measure, bound: str, outcome: str, word: str) -> None:
    found = measured(accuracy("right", bound))
    assert (found.check, found.outcome) == ("claims.accuracy", outcome)
    assert (found.reason or "").startswith(word)
    assert found.evidence.measured == pytest.approx(0.98)
    assert found.evidence.series[0].y == pytest.approx((0.969310, 0.987016), abs=1e-6)
    assert found.location is not None
    assert (found.location.path, found.location.line) == ("README.md", 4)


def test_no_sample_is_no_accuracy(measured: Measure) -> None:
    assert "no sample was judged" in (measured(accuracy("none_right", "at_least = 0.0")).reason or "")


def test_samples_that_are_no_bools_are_refused(measured: Measure) -> None:
    found = measured(accuracy("numbers", "at_least = 0.5"))
    assert found.outcome == "error"
    assert "not a bool" in (found.reason or "")


def test_a_figure_for_one_seed_says_that_it_is_one(measured: Measure) -> None:
    found = measured(metric("figure", "at_least = 0.5"), seed=3)
    assert (found.check, found.outcome, found.evidence.measured) == ("claims.metric", "passed", 0.8)
    assert "the one value of seed 3; it says nothing about others" in (found.evidence.unit or "")


@pytest.mark.parametrize(
    ("bound", "outcome"), [("at_least = 0.5", "passed"), ("at_least = 0.75", "error"), ("at_least = 1.25", "failed")]
)
def test_figures_for_several_seeds_are_judged_by_the_worst_and_the_best(
    measured: Measure, bound: str, outcome: str
) -> None:
    found = measured(metric("figure", f"{bound}\nseeds = [0, 1, 2, 3, 4, 5, 6]"))
    assert found.outcome == outcome
    assert found.evidence.series[0].y == pytest.approx((0.5, 1.1))
    assert found.evidence.series[1].x == (0, 1, 2, 3, 4, 5, 6)
    assert "with a confidence of 98.4%" in (found.evidence.unit or "")


def test_a_figure_that_is_not_finite_refutes(measured: Measure) -> None:
    assert measured(metric("not_finite", "at_least = 0.5")).outcome == "failed"


@pytest.mark.slow
def test_a_callable_without_an_end_costs_the_time_of_its_claim(measured: Measure) -> None:
    found = measured(metric("endless", "at_least = 0.5\ntimeout_s = 1.0"))
    assert found.outcome == "error"
    assert found.reason == "timed out: measuring 'it' took longer than 1 s, its timeout_s"
    assert "`timeout_s = 10`" in (found.fix or "")


def test_a_name_that_is_not_there_is_an_error(measured: Measure) -> None:
    found = measured(metric("missing", "at_least = 0.5"))
    assert found.outcome == "error"
    assert "missing" in (found.reason or "")


def test_the_last_line_that_a_command_prints_is_read(measured: Measure) -> None:
    found = measured(f'kind = "metric"\n{COMMAND}\nfigure = "seed"\nat_least = 5', seed=5)
    assert (found.outcome, found.evidence.measured, found.evidence.unit.split(",")[0]) == ("passed", 5.0, "seed")  # type: ignore[union-attr]


def test_the_file_that_a_command_writes_is_read_and_its_folder_removed(
    measured: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "own"))  # other tests measure claims beside this one
    keys = f'kind = "metric"\n{COMMAND}\nfigure = "loss"\nfigure_file = "{{scratch}}/written.json"\nat_most = 0.2'
    found = measured(keys)
    assert (found.outcome, found.evidence.measured) == ("failed", 0.25)
    assert list((tmp_path / "own").iterdir()) == []


@pytest.mark.slow
def test_a_command_tells_an_accuracy_with_its_samples(measured: Measure) -> None:
    keys = f'kind = "accuracy"\n{COMMAND}\nfigure = "figures.accuracy"\nsamples = "figures.samples"\nat_least = 0.96'
    found = measured(keys)
    assert found.outcome == "passed"
    assert found.evidence.series[0].y == pytest.approx((0.969310, 0.987016), abs=1e-6)


@pytest.mark.slow
def test_a_share_that_its_samples_cannot_give_is_an_error(measured: Measure) -> None:
    keys = f'kind = "accuracy"\n{COMMAND}\nfigure = "figures.odd"\nsamples = "figures.samples"\nat_least = 0.96'
    assert "is no number of samples" in (measured(keys).reason or "")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('figure = "figures.loss"', "figures.loss is not in what the command wrote"),
        pytest.param('figure = "figures"', "not a number", marks=pytest.mark.slow),
        pytest.param('figure = "loss"\nfigure_file = "elsewhere.json"', "No such file", marks=pytest.mark.slow),
    ],
)
def test_a_figure_that_a_command_does_not_write_is_an_error(measured: Measure, keys: str, words: str) -> None:
    found = measured(f'kind = "metric"\n{COMMAND}\n{keys}\nat_least = 0')
    assert found.outcome == "error"
    assert words in (found.reason or "")


def test_a_command_that_fails_is_an_error_whatever_it_printed(measured: Measure) -> None:
    failing = COMMAND.replace('"{seed}"', '"{seed}", "fail"')
    found = measured(f'kind = "metric"\n{failing}\nfigure = "seed"\nat_least = 0')
    assert found.outcome == "error"
    assert "left with status 3" in (found.reason or "")
