"""Each wrong model fails what is about its mistake, and no other check that is carried out."""

from collections.abc import Callable, Mapping

import pytest

from audit.report.document import Report
from audit.results import Outcome, Result

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first test waits for a run over all models
WRONG = {
    "GrowsNan": ["run"],
    "Constant": ["learns"],
    "Leaking": ["memory"],
    "Unseeded": ["twin"],
    "Forgetful": ["ranks", "resume"],  # each rank has an average of its own
    "Overwriting": ["ranks"],
}
RIGHT = ("Right", "Noisy")
CHECKS = ("run", "learns", "memory", "twin", "resume", "ranks")


@pytest.fixture(scope="module")
def report(trained: Callable[..., Report]) -> Report:
    return trained(subjects=[*WRONG, *RIGHT])


@pytest.fixture(scope="module")
def of(report: Report) -> Callable[[str], Mapping[str, Result]]:
    return lambda name: {r.check.partition(".")[2]: r for r in report.results if r.subject.name == name}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_model_passes(of: Callable[[str], Mapping[str, Result]], name: str) -> None:
    found = {check: (result.outcome.value, result.reason) for check, result in of(name).items()}
    assert found.pop("gpus") == ("skipped", "needs 2 GPUs")
    assert found == dict.fromkeys(CHECKS, ("passed", None))


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_model_fails_what_is_about_its_mistake(of: Callable[[str], Mapping[str, Result]], name: str) -> None:
    found = of(name)
    failed = [check for check, result in found.items() if result.outcome is Outcome.FAILED]
    assert failed == WRONG[name], {check: result.reason for check, result in found.items()}
    assert not [r.reason for r in found.values() if "internal error" in (r.reason or "")]


def test_the_curves_are_in_the_evidence(of: Callable[[str], Mapping[str, Result]]) -> None:
    curves = {series.name: series for series in of("Right")["run"].evidence.series}
    loss = curves["loss, mean of 2 steps"]
    assert (loss.x[-1], len(loss.y)) == (1000, 500)
    assert loss.y[-1] < loss.y[0]
    assert curves["validation loss"].x == (200, 400, 600, 800, 1000)
    assert "steps/s, a step takes p50" in (of("Right")["run"].evidence.bound_origin or "")


def test_a_nan_is_kept_in_the_curve_and_named_by_its_step(of: Callable[[str], Mapping[str, Result]]) -> None:
    result = of("GrowsNan")["run"]
    assert result.reason == "the loss is nan at step 701"
    assert result.evidence.measured == 700
    assert of("GrowsNan")["learns"].outcome is Outcome.SKIPPED


def test_what_is_measured_is_stated_with_its_interval(of: Callable[[str], Mapping[str, Result]]) -> None:
    leak = of("Leaking")["memory"]
    assert "interval" in (leak.reason or "")
    # 12,000 bytes are kept in each step.
    assert leak.evidence.measured == pytest.approx(12_000, rel=0.2)


def test_every_checkpoint_is_resumed_from(of: Callable[[str], Mapping[str, Result]]) -> None:
    assert "180 steps from 10 places" in (of("Right")["resume"].evidence.bound_origin or "")
    reason = of("Forgetful")["resume"].reason or ""
    assert "from the checkpoint of step 100, has another loss at step 101" in reason
