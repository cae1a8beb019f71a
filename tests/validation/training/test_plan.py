"""What is planned where the specs declare much, little, or nothing."""

from collections.abc import Callable, Mapping

import pytest

from audit.report.document import Report
from audit.results import Outcome
from validation.training.settings import TrainingSettings

Trained = Callable[..., Report]
DECLARED = ("train.declared", "train.trainer_declared")
FIRST_OF_COMMAND = "train.command_repeats"


def outcomes(report: Report) -> Mapping[tuple[str, str], tuple[Outcome, str]]:
    return {(r.check, r.subject.name): (r.outcome, r.reason or "") for r in report.results}


def test_specs_without_training_leave_the_trainer_unjudged(trained: Trained) -> None:
    report = trained(only=[*DECLARED, FIRST_OF_COMMAND], specs="MODELS = {}\n")
    [trainer] = [result for result in report.results if result.check == "train.trainer_declared"]
    assert str(trainer.fix).startswith("declare under TRAINING in the specs what trains")
    found = outcomes(report)
    assert found["train.declared", "zoo"] == (Outcome.FAILED, "MODELS and TRAINING are empty")
    outcome, reason = found["train.trainer_declared", "zoo"]
    assert outcome is Outcome.ERROR
    assert "the specs do not define TRAINING, so what trains is not looked at: " in reason
    assert "zoo/copies_over_the_last.py" in reason  # the first of those that are named
    assert found[FIRST_OF_COMMAND, "zoo"][0] is Outcome.SKIPPED


def test_where_no_file_trains_no_training_need_be_declared(trained: Trained) -> None:
    specs = "MODELS = {}\n"
    found = outcomes(trained(only=["train"], specs=specs, trains=False))
    assert found["train.trainer_declared", "zoo"] == (
        Outcome.NOT_APPLICABLE,
        "no file of the sources trains, and the specs declare no TRAINING",
    )
    assert (FIRST_OF_COMMAND, "zoo") not in found


def test_an_empty_training_says_that_nothing_is_trained(trained: Trained, usual_specs: str) -> None:
    specs = usual_specs.replace("TRAINING = {name", "TRAINING = {} and {name")
    found = outcomes(trained(only=DECLARED, specs=specs))
    assert found["train.declared", "zoo"][0] is Outcome.PASSED
    assert found["train.trainer_declared", "zoo"][0] is Outcome.NOT_APPLICABLE


@pytest.mark.slow
def test_an_entry_without_a_command_is_trained_in_our_loop_alone(trained: Trained, usual_specs: str) -> None:
    specs = usual_specs + "del TRAINING['right_trainer']['command']\nTRAINING = {'t': TRAINING['right_trainer']}\n"
    found = outcomes(trained(subjects=["t"], only=["train.run", FIRST_OF_COMMAND], specs=specs, steps=12))
    assert found["train.run", "t"][0] is Outcome.PASSED
    assert found[FIRST_OF_COMMAND, "t"] == (
        Outcome.SKIPPED,
        "TRAINING['t'] declares no 'command', so the package's own trainer was not looked at",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("['loss'] = 3", "'loss' must be callable"),
        ("['batches'] = lambda seed, start: iter([])", "'batches' gave 0 batches, and 12 are needed"),
        ("['batches'] = lambda seed, start: 3", "'batches' returned int"),
    ],
)
def test_an_entry_that_cannot_be_used_is_an_error(trained: Trained, usual_specs: str, change: str, said: str) -> None:
    specs = usual_specs + f"TRAINING = {{'t': TRAINING['right_trainer']}}\nTRAINING['t']{change}\n"
    outcome, reason = outcomes(trained(subjects=["t"], only=["train.run"], specs=specs, steps=12))["train.run", "t"]
    assert outcome is Outcome.ERROR
    assert said in reason


def test_a_short_run_cannot_fail_for_learning_slowly(trained: Trained) -> None:
    found = outcomes(trained(subjects=["Constant"], only=["train.learns"], steps=40))
    assert found["train.learns", "Constant"][0] is Outcome.ERROR
    assert "a run of 1000 steps would tell" in found["train.learns", "Constant"][1]


def test_a_run_that_is_cut_short_by_its_time_concludes_nothing_and_keeps_its_curve(trained: Trained) -> None:
    report = trained(subjects=["Right"], only=["train.run", "train.memory"], steps=10**6, limit_s=1.0)
    by_check = {result.check: result for result in report.results}
    assert by_check["train.run"].outcome is Outcome.ERROR
    assert "of 1000000 steps were done within 1 s" in (by_check["train.run"].reason or "")
    assert by_check["train.run"].evidence.series[0].name.startswith("loss")
    assert by_check["train.memory"].outcome is Outcome.SKIPPED


def test_a_brief_run_leaves_out_what_is_long_and_says_what_runs_it(trained: Trained, usual_specs: str) -> None:
    specs = usual_specs + "TRAINING = {'t': TRAINING['right_trainer']}\n"
    report = trained(subjects=["t"], only=["train.run", "train.command_resumes"], specs=specs, steps=12, brief=True)
    by_check = {result.check: result for result in report.results}
    assert by_check.keys() == {"train.run", "train.command_resumes"}
    assert by_check["train.run"].outcome is Outcome.PASSED
    assert "train --steps 12 --only train.run" in (by_check["train.run"].evidence.reproduce or "")
    left_out = by_check["train.command_resumes"]
    assert left_out.outcome is Outcome.SKIPPED
    assert left_out.reason == "not run: slow; `astrobio-audit train --subject t` runs it"
    assert left_out.evidence.reproduce == "astrobio-audit train --only train.command_resumes --subject t --seed 0"


@pytest.mark.slow
def test_a_brief_run_trains_models_only_where_no_training_is_declared(trained: Trained, usual_specs: str) -> None:
    one = "MODELS = {'Right': MODELS['Right']}\n"
    few = {"only": ["train.run"], "steps": 12, "brief": True}
    alone = outcomes(trained(specs=f"{usual_specs}{one}TRAINING = {{}}\n", **few))
    assert alone["train.run", "Right"][0] is Outcome.PASSED
    beside = outcomes(trained(specs=f"{usual_specs}{one}TRAINING = {{'t': TRAINING['right_trainer']}}\n", **few))
    assert ("train.run", "Right") not in beside
    assert beside["train.run", "t"][0] is Outcome.PASSED


def test_flags_repeat_a_run_of_the_same_length() -> None:
    assert TrainingSettings().flags == ()
    assert TrainingSettings(steps=50, kills=3).flags == ("--steps", "50", "--kills", "3")
    assert TrainingSettings(steps=50).interval == 13
    assert TrainingSettings().interval == 100
