"""Two ranks against one process: the target's own command under torchrun, two GPUs, and a declared speed."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save

from audit.catalog import TrainingEntry
from audit.gateway import Probe, ProbeFailure, TargetRaised
from audit.judgement import Judgement
from audit.plan import Run
from audit.report.document import Report
from audit.results import Outcome, Result, Subject, SubjectKind
from audit.target import Target
from validation.training.checks import command_ranks, gpus, speed
from validation.training.settings import COMMAND_STEPS, TrainingSettings
from validation.training.trainee import CommandRun, Reference, Trainee

OF_RANKS = """
def ranked(module):
    options = " -m zoo." + module + " {checkpoint_dir} --steps {steps} --seed {seed}"
    return trained(
        module,
        command="{python}" + options + " {resume}",
        torchrun="{python} -m torch.distributed.run --standalone --nproc-per-node 2" + options,
        one_process="{python}" + options + " --accumulate 2",
        curve="log.jsonl",
    )

TRAINING = {name: ranked(name) for name in ("ranked", "same_half", "logs_nothing")}
"""
WEIGHTS = {"layer.weight": torch.tensor([[1.0, 2.0]])}
TWO_GPUS = {"devices": [{"name": "one"}, {"name": "other"}]}


class Scripted:
    """Answers as the target's process would, with what it is given."""

    def __init__(self, **replies: Any) -> None:
        self._replies = replies

    def call(self, procedure: str, **given: Any) -> Mapping[str, Any]:
        reply = self._replies[procedure]
        if isinstance(reply, Exception):
            raise reply
        return cast("Mapping[str, Any]", reply)

    def close(self) -> None:
        """There is no process."""


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Judgement]:
    """Lets a check judge what a scripted process answers."""
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\n')
    target = Target.load(tmp_path)

    def judge(check: Any, dtypes: tuple[str, ...] = ("float32",), **replies: Any) -> Judgement:
        alone = CommandRun(
            status=0, weights=(), checksums=(), copies=(), times=(), said="", named=None, in_time=True, dtypes=dtypes
        )
        trainee = Trainee(
            name="t", specs="zoo.specs", section="TRAINING", entry=TrainingEntry(problem=None, has_ranks=True),
            subject=Subject(kind=SubjectKind.TRAINING, spec="t"), settings=TrainingSettings(),
            reference=Reference(run=alone, forks=False, largest_file_bytes=0),
        )  # fmt: skip
        run = Run(target=target, probe=cast(Probe, Scripted(**replies)), seed=0)
        return cast(Judgement, check.judge(trainee, run))

    return judge


# Two GPUs are not to be had here: what a process that has them answers is scripted, and what is made of it is real.
@pytest.mark.parametrize(
    ("second", "outcome"), [(2.0, Outcome.PASSED), (2.0000002, Outcome.FAILED), (float("nan"), Outcome.FAILED)]
)
def test_two_gpus_pass_where_every_parameter_is_that_of_one(
    judged: Callable[..., Judgement], second: float, outcome: Outcome
) -> None:
    ranks = save({"layer.weight": torch.tensor([[1.0, second]])})
    reply = {"ranks": ranks, "alone": save(WEIGHTS), "problem": None}
    found = judged(gpus, environment=TWO_GPUS, train_ranks=reply)
    assert found.outcome is outcome, found.reason
    assert found.measured is not None
    assert found.measured.bound == 0.0


@pytest.mark.parametrize(
    ("reply", "outcome", "said"),
    [
        ({"problem": "rank 1: a tensor is on cuda:0", "ranks": b"", "alone": b""}, Outcome.FAILED, "is on cuda:0"),
        ({"problem": "not done after 600 s", "ranks": b"", "alone": b""}, Outcome.ERROR, "not done after"),
        ({"problem": "one process: out of memory", "ranks": b"", "alone": b""}, Outcome.ERROR, "out of memory"),
        ({"problem": None, "ranks": save(WEIGHTS), "alone": save({})}, Outcome.ERROR, "no reference"),
    ],
)
def test_what_two_gpus_could_not_be_compared_by_is_told(
    judged: Callable[..., Judgement], reply: Mapping[str, Any], outcome: Outcome, said: str
) -> None:
    found = judged(gpus, environment=TWO_GPUS, train_ranks=reply)
    assert (found.outcome, said in (found.reason or "")) == (outcome, True)


@pytest.mark.parametrize("devices", [[], [{"name": "only"}], None])
def test_fewer_than_two_gpus_are_skipped_with_what_is_missing(
    judged: Callable[..., Judgement], devices: object
) -> None:
    found = judged(gpus, environment={"devices": devices})
    assert (found.outcome, found.reason) == (Outcome.SKIPPED, "needs 2 GPUs")


def curve(*, of: Callable[[int], float], steps: int = COMMAND_STEPS, status: int = 0) -> dict[str, Any]:
    """What the target's process says of one command."""
    pairs = [[step, of(step)] for step in range(1, steps + 1)]
    steps_of: dict[str, Any] = {name: [] for name in ("checksums", "weights", "copies", "gradients", "times", "dtypes")}
    return {"status": status, "said": "the last line", "in_time": True, "curve": pairs, **steps_of}


def falling(step: int) -> float:
    return 1.0 / step


@pytest.mark.parametrize(
    ("ranks", "outcome", "said"),
    [
        (curve(of=lambda step: falling(step) * (1 + 2.0**-23)), Outcome.PASSED, ""),
        (curve(of=lambda step: falling(step) + 1e-4), Outcome.FAILED, "differ from those of one process"),
        (curve(of=falling, steps=COMMAND_STEPS - 1), Outcome.FAILED, "two ranks have logged 19 steps"),
        (curve(of=falling, status=1), Outcome.FAILED, "'torchrun' ended with status 1: the last line"),
        (curve(of=falling, steps=0), Outcome.ERROR, "'torchrun' has left no losses"),
        ({**curve(of=falling), "in_time": False}, Outcome.ERROR, "'torchrun' was not over in time"),
    ],
)
def test_the_logged_losses_of_two_ranks_are_compared_with_those_of_one_process(
    judged: Callable[..., Judgement], ranks: dict[str, Any], outcome: Outcome, said: str
) -> None:
    found = judged(command_ranks, train_command_ranks={"torchrun": ranks, "one_process": curve(of=falling)})
    assert found.outcome is outcome, found.reason
    assert said in (found.reason or "")
    assert len(found.series) == (2 if found.measured else 0)


NAN = float("nan")


def from_step(first: int, value: float) -> Callable[[int], float]:
    return lambda step: value if step >= first else falling(step)


@pytest.mark.parametrize(
    ("ranks", "alone", "outcome", "said"),
    [
        (from_step(4, NAN), falling, Outcome.FAILED, "two ranks that of step 4 is not finite, on one process all"),
        (from_step(1, math.inf), falling, Outcome.FAILED, "that of step 1"),
        (falling, from_step(7, NAN), Outcome.FAILED, "on one process that of step 7"),
        (from_step(4, NAN), from_step(4, NAN), Outcome.ERROR, "from step 4 on the losses are not finite"),
        (lambda step: 0.0, lambda step: 0.0, Outcome.ERROR, "nothing can be told"),
        (lambda step: 3.0, lambda step: 3.0, Outcome.ERROR, "extend over 0"),
        (lambda step: 3.0, lambda step: 2.0, Outcome.FAILED, "differ from those of one process"),
    ],
)
def test_losses_that_are_no_numbers_or_never_change(
    judged: Callable[..., Judgement], ranks: Callable[[int], float], alone: Callable[[int], float], outcome: Outcome,
    said: str,
) -> None:  # fmt: skip
    found = judged(command_ranks, train_command_ranks={"torchrun": curve(of=ranks), "one_process": curve(of=alone)})
    assert (found.outcome, said in (found.reason or "")) == (outcome, True), found.reason


@pytest.mark.parametrize(
    ("dtypes", "more", "outcome"),
    [
        (("float32",), 1e-4, Outcome.FAILED),
        (("bfloat16", "float32"), 1e-4, Outcome.ERROR),
        (("bfloat16", "float32"), 0.0, Outcome.PASSED),
        (("float64",), 1e-4, Outcome.FAILED),
    ],
)
def test_what_computes_in_a_coarse_type_is_not_failed_by_its_rounding(
    judged: Callable[..., Judgement], dtypes: tuple[str, ...], more: float, outcome: Outcome
) -> None:
    curves = {"torchrun": curve(of=lambda step: falling(step) + more), "one_process": curve(of=falling)}
    found = judged(command_ranks, dtypes, train_command_ranks=curves)
    assert found.outcome is outcome, found.reason
    assert ("computes in bfloat16" in (found.reason or "")) is (outcome is Outcome.ERROR)


def test_no_account_of_two_ranks_is_a_failure_of_the_probe(judged: Callable[..., Judgement]) -> None:
    with pytest.raises(ProbeFailure):
        judged(command_ranks, train_command_ranks={"torchrun": None})
    raised = TargetRaised(phase="build", type_name="ValueError", message="no", frames=(), traceback="")
    found = judged(gpus, environment=TWO_GPUS, train_ranks=raised)
    assert found.outcome is Outcome.ERROR


@pytest.fixture(scope="module")
def ranked(trained: Callable[..., Report], usual_specs: str) -> Mapping[str, Result]:
    report = trained(only=[command_ranks.CHECK.id], specs=usual_specs + OF_RANKS)
    return {each.subject.name: each for each in report.results if each.check == command_ranks.CHECK.id}


@pytest.mark.slow  # starts torchrun for three trainers; what is made of the losses is tested above
@pytest.mark.parametrize(
    ("name", "outcome"), [("ranked", "passed"), ("same_half", "failed"), ("logs_nothing", "error")]
)
def test_a_command_under_torchrun_equals_one_process(ranked: Mapping[str, Result], name: str, outcome: str) -> None:
    assert ranked[name].outcome.value == outcome, ranked[name].reason
    if outcome == "passed":
        assert {series.name for series in ranked[name].evidence.series} == {"loss on two ranks", "loss in one process"}


# A rate that any machine reaches, and one that none does: neither is a question of how fast this one is.
OF_SPEED = """
TRAINING = {
    "reached": trained("right_trainer", min_steps_per_s=1e-6),
    "unreachable": trained("right_trainer", min_steps_per_s=1e12),
    "stopped": trained("right_trainer", min_steps_per_s=1e-6, batches=lambda seed, start: iter([])),
}
"""


def test_a_declared_speed_is_compared_with_the_median_step(trained: Callable[..., Report], usual_specs: str) -> None:
    names = ["reached", "unreachable", "stopped"]
    report = trained(subjects=names, only=[speed.CHECK.id], specs=usual_specs + OF_SPEED, steps=12)
    found = {each.subject.name: each for each in report.results if each.check == speed.CHECK.id}
    assert {name: each.outcome.value for name, each in found.items()} == {
        "reached": "passed",
        "unreachable": "failed",
        "stopped": "skipped",
    }
    assert found["unreachable"].reason == "a step takes longer than declared"
    assert found["unreachable"].evidence.bound == 1e12
    assert (found["stopped"].reason or "").startswith("needs train.run to pass")
