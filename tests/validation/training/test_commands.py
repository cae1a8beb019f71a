"""Each wrong trainer fails what is about its mistake, and those that it makes pointless are skipped."""

from collections.abc import Callable, Mapping

import pytest

from audit.report.document import Report
from audit.results import Outcome, Result

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first test waits for a run over all trainers
WRONG = {
    "unseeded": ["command_repeats"],
    "fails": ["command_repeats"],
    "forgets_momentum": ["command_resumes"],
    "forgets_statistics": ["command_resumes"],
    "draws_anew": ["command_resumes"],
    "forgets_average": ["command_resumes"],
    "never_moves": ["command_repeats"],
    "one_step_more": ["command_repeats"],
    "writes_no_checkpoint": ["command_resumes"],
    "writes_in_place": ["command_disk_full", "command_killed"],
    "copies_over_the_last": ["command_killed"],
    "removes_the_last_first": ["command_disk_full", "command_killed"],
    "looks_at_no_gradient": ["command_nan"],
    "names_no_parameter": ["command_nan"],
    "saves_nan": ["command_nan"],
    "swallows_write_errors": ["command_disk_full"],
}
CHECKS = ("command_repeats", "command_resumes", "command_killed", "command_nan", "command_disk_full")


@pytest.fixture(scope="module")
def report(trained: Callable[..., Report]) -> Report:
    return trained(only=[f"train.{check}" for check in CHECKS], kills=16)


@pytest.fixture(scope="module")
def of(report: Report) -> Callable[[str], Mapping[str, Result]]:
    return lambda name: {
        r.check.partition(".")[2]: r
        for r in report.results
        if r.subject.name == name and r.check.startswith("train.command")
    }


@pytest.mark.parametrize("name", ["right_trainer", "two_optimizers", "every_other", "writes_in_the_background"])
def test_a_right_trainer_passes(of: Callable[[str], Mapping[str, Result]], name: str) -> None:
    found = {check: (result.outcome.value, result.reason) for check, result in of(name).items()}
    assert found == dict.fromkeys(CHECKS, ("passed", None))


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_trainer_fails_what_is_about_its_mistake(of: Callable[[str], Mapping[str, Result]], name: str) -> None:
    found = of(name)
    failed = [check for check, result in found.items() if result.outcome is Outcome.FAILED]
    assert failed == WRONG[name], {check: result.reason for check, result in found.items()}
    assert not [r.reason for r in found.values() if "internal error" in (r.reason or "")]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("forgets_momentum", "its first gradient is the same: the state of the optimizer"),
        ("draws_anew", "from another gradient in its first step"),
    ],
)
def test_what_was_not_restored_is_told_by_the_first_gradient(
    of: Callable[[str], Mapping[str, Result]], name: str, said: str
) -> None:
    assert said in (of(name)["command_resumes"].reason or "")


def test_a_trainer_without_an_optimizer_of_torch_is_not_judged(of: Callable[[str], Mapping[str, Result]]) -> None:
    found = of("steps_by_hand")
    assert found["command_repeats"].outcome is Outcome.ERROR
    assert "no step of a torch optimizer" in (found["command_repeats"].reason or "")
    assert {found[check].outcome for check in CHECKS[1:]} == {Outcome.SKIPPED}


@pytest.mark.parametrize(
    ("name", "said"), [("steps_twice", "what {steps} means is not known"), ("stops_early", "it stops early")]
)
def test_other_steps_than_asked_are_not_judged_where_they_may_be_meant(
    of: Callable[[str], Mapping[str, Result]], name: str, said: str
) -> None:
    found = of(name)
    assert found["command_repeats"].outcome is Outcome.ERROR
    assert said in (found["command_repeats"].reason or "")
    assert {found[check].outcome for check in CHECKS[1:]} == {Outcome.SKIPPED}


def test_kills_are_counted_and_so_is_what_they_hit(of: Callable[[str], Mapping[str, Result]]) -> None:
    origin = of("right_trainer")["command_killed"].evidence.bound_origin or ""
    assert "at points drawn with seed 0" in origin
    assert "of them before it was complete" in origin
    assert of("right_trainer")["command_killed"].evidence.bound == 5


def test_what_is_wrong_with_a_stop_is_told(of: Callable[[str], Mapping[str, Result]]) -> None:
    assert "does not name the parameter" in (of("names_no_parameter")["command_nan"].reason or "")
    assert "does not name step 12" in (of("looks_at_no_gradient")["command_nan"].reason or "")
    assert "resumed after a NaN weight" in (of("saves_nan")["command_nan"].reason or "")
    assert "ended with status 0" in (of("swallows_write_errors")["command_disk_full"].reason or "")
    assert "no checkpoint was in {checkpoint_dir}" in (of("writes_no_checkpoint")["command_resumes"].reason or "")
    assert "such as running statistics" in (of("forgets_statistics")["command_resumes"].reason or "")
    assert "such as averaged weights" in (of("forgets_average")["command_resumes"].reason or "")
    assert of("never_moves")["command_repeats"].reason == "the weights did not change in 20 steps"
    assert "and 11 where it asks for 10" in (of("one_step_more")["command_repeats"].reason or "")
    assert "name 'Nett' is not defined" in (of("fails")["command_repeats"].reason or "")
