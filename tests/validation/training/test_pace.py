"""What a command's `{steps}` are taken to mean, and what of its runs is compared."""

from dataclasses import replace
from typing import Any

import pytest

from audit.catalog import TrainingEntry
from audit.judgement import Judgement
from audit.results import Subject, SubjectKind
from validation.training.checks import command_nan, command_repeats
from validation.training.pace import AS_ASKED, Counted, Pace, declared_pace, pace_of
from validation.training.resumed import Account, account_of
from validation.training.settings import COMMAND_STEPS, TrainingSettings
from validation.training.trainee import CommandRun, Reference, Trainee

MOVES = tuple(range(1, COMMAND_STEPS + 1))
GRADIENTS = tuple(range(101, COMMAND_STEPS + 101))
WHOLE = CommandRun(
    status=0,
    weights=MOVES,
    checksums=MOVES,
    copies=(0, *MOVES[1:]),
    gradients=GRADIENTS,
    times=(),
    said="",
    named=None,
    in_time=True,
)
REFERENCE = Reference(run=WHOLE, forks=True, largest_file_bytes=1)


def counted(took: int, *, optimizers: int = 1, gradients: int = 9, steps: int = 9) -> Counted:
    return Counted(asked=10, took=took, optimizers=optimizers, gradients=gradients, steps=steps)


@pytest.mark.parametrize(
    ("took", "shorter", "meant"),
    [
        (40, counted(20, optimizers=2, gradients=18), Pace(optimizer_steps=2)),
        (120, counted(60, optimizers=2), Pace(optimizer_steps=6)),  # five of one for each of the other
        (10, counted(5, gradients=8, steps=4), Pace(own_steps=2)),
        (7, counted(4, gradients=6, steps=2), Pace(own_steps=3)),  # a last step of two micro-batches
        (40, counted(20), "error"),  # one optimizer, twice: a mistake, or SAM
        (10, counted(5, gradients=4, steps=4), "error"),  # every other step left out
        (12, counted(10), "error"),
        (7, counted(7), "error"),
        (21, counted(11), "failed"),
        (19, counted(9, gradients=8, steps=8), "failed"),
        (100, counted(100), "failed"),
    ],
)
def test_other_steps_are_a_pace_only_where_something_explains_them(
    took: int, shorter: Counted, meant: Pace | str
) -> None:
    found = pace_of(took, shorter)
    assert (found.outcome.value if isinstance(found, Judgement) else found) == meant
    if isinstance(found, Judgement):
        assert found.fix


@pytest.mark.parametrize(
    ("declared", "pace"), [(1, AS_ASKED), (2, Pace(optimizer_steps=2)), (0.125, Pace(own_steps=8))]
)
def test_a_pace_is_declared(declared: float, pace: Pace) -> None:
    assert declared_pace(declared) == pace


def test_a_step_of_an_optimizer_belongs_to_steps_of_the_command() -> None:
    assert list(Pace(optimizer_steps=2).own_steps_of(11)) == [6]
    assert list(Pace(own_steps=2).own_steps_of(6)) == [11, 12]


@pytest.mark.parametrize(
    ("harm", "after", "pace", "said", "wrong"),
    [
        ("gradient", 11, AS_ASKED, "a.weight at step 12", 0),
        ("gradient", 11, AS_ASKED, "a.weight at step 13", 1),
        ("gradient", 21, Pace(optimizer_steps=2), "a.weight at step 12", 0),  # behind the first of two in step 11
        ("gradient", 21, Pace(optimizer_steps=2), "a.weight at step 13", 1),
        ("weight", 10, Pace(own_steps=2), "a.weight after step 20", 0),
        ("weight", 10, Pace(own_steps=2), "after step 20", 1),
    ],
)
def test_a_step_with_a_nan_is_named_as_the_command_counts(
    harm: str, after: int, pace: Pace, said: str, wrong: int
) -> None:
    stopped = replace(WHOLE, status=1, said=said, named="a.weight", checksums=(1,) * after)
    assert len(command_nan._wrong(stopped, harm, after, pace)) == wrong


OTHERS: dict[str, Any] = {"checksums": (99,) * 15, "weights": (99,) * 15}


def from_step(step: int, **edits: Any) -> CommandRun:
    run = replace(WHOLE, weights=MOVES[step:], checksums=MOVES[step:], copies=(0, *MOVES[step + 1 :]), gradients=())
    return replace(run, **edits)


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        ({}, None),
        ({"copies": (7, *MOVES[6:])}, None),  # what has changed before a first step is not known
        ({"copies": (0, 99, *MOVES[7:])}, "with another copy of the model, such as averaged weights"),
        ({"checksums": (99,) * 15}, "that are not optimised, such as running statistics"),
        (OTHERS, "other weights than the uninterrupted run"),
        (
            {**OTHERS, "gradients": GRADIENTS[5:]},
            "the state of the optimizer, its learning rate or schedule is another",
        ),
        ({**OTHERS, "gradients": GRADIENTS[6:]}, "the weights, the batch or what was drawn by chance is another"),
    ],
)
def test_what_differs_in_a_resumed_run_is_told(edits: dict[str, Any], problem: str | None) -> None:
    account = account_of(REFERENCE, from_step(5, **edits), near=5)
    if problem is None:
        assert account == Account(begun=5, done=20)
    else:
        assert (account.problem or "").endswith(problem)


def test_of_equal_steps_the_one_is_meant_that_it_should_have_gone_on_from() -> None:
    still = replace(WHOLE, checksums=(1,) * 20, copies=(0,) * 20)
    part = replace(WHOLE, checksums=(1,) * 6, copies=(0,) * 6)
    assert [replace(REFERENCE, run=still).position(part, near=near) for near in (5, 10, 20)] == [5, 10, 14]


def described(run: CommandRun, **edits: Any) -> dict[str, Any]:
    return {
        "status": 0,
        "weights": list(run.weights),
        "checksums": list(run.checksums),
        "copies": list(run.copies),
        "gradients": list(run.gradients),
        "dtypes": list(run.dtypes),
        "times": [],
        "said": "",
        "named": None,
        **edits,
    }


@pytest.mark.parametrize(
    ("edits", "outcome", "said"),
    [
        ({}, "passed", ""),
        ({"weights": [5] * 20}, "failed", "the weights did not change in 20 steps"),
        ({"weights": [], "checksums": [], "copies": []}, "error", "it took no step of a torch optimizer"),
        ({"weights": [1], "checksums": [1], "copies": [0]}, "failed", "it took 1 optimizer steps"),
    ],
)
def test_two_runs_are_compared(trainee: Trainee, edits: dict[str, Any], outcome: str, said: str) -> None:
    reply = {key: described(WHOLE, **edits) for key in ("first", "second", "fork")}
    judgement = command_repeats._judged(trainee, {**reply, "largest_file_bytes": 1})
    assert (judgement.outcome.value, (judgement.reason or "")[: len(said)]) == (outcome, said)


@pytest.mark.parametrize(
    ("edits", "said"),
    [({"checksums": [1, *[99] * 19]}, "buffers or copies of the model"), ({"weights": [1, *[99] * 19]}, "weights")],
)
def test_what_differs_in_a_second_run_is_told(trainee: Trainee, edits: dict[str, Any], said: str) -> None:
    edits = {"checksums": [1, *[99] * 19], **edits}
    reply = {"first": described(WHOLE), "second": described(WHOLE, **edits), "fork": described(WHOLE)}
    judgement = command_repeats._judged(trainee, {**reply, "largest_file_bytes": 1})
    assert judgement.reason == f"the second run has other {said} from step 2 on"


@pytest.fixture
def trainee() -> Trainee:
    entry = TrainingEntry.model_validate({"problem": None, "class": "zoo.model:Net"})
    subject = Subject(kind=SubjectKind.TRAINING, spec="net")
    return Trainee(
        name="net", specs="zoo.specs", section="TRAINING", entry=entry, subject=subject, settings=TrainingSettings()
    )
