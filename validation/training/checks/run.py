"""The training runs to its last step with finite losses."""

from dataclasses import replace

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Comparison, Severity
from validation.training.series import loss_series, time_series
from validation.training.statistics import percentile
from validation.training.trainee import FirstRun, Trainee, first_run_of

CHECK = Check(
    id="train.run",
    title="Training runs to its last step",
    proves="So many optimizer steps were taken one after another, and the loss of each was finite.",
    defect="a loss that becomes NaN",
    severity=Severity.CRITICAL,
)
REQUIRES: tuple[str, ...] = ()
PHASES = ("build", "forward", "loss", "backward", "step", "optimizer", "scheduler", "save")


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Train, and keep the run for the checks that follow."""
    if trainee.entry.problem:
        return error(f"specs {trainee.specs}: {trainee.declared_as}: {trainee.entry.problem}")
    if trainee.subject.digest is None:
        return error(f"{trainee.entry.declared} is not defined in the sources of {run.target.package}")
    settings = trainee.settings
    try:
        with trainee.told(run):
            reply = trainee.call(
                run,
                "train_run",
                steps=settings.steps,
                checkpoint_every=settings.interval,
                validate_every=settings.validate_every,
                compared_steps=settings.compared_steps,
                folder=trainee.folder,
                seconds=settings.limit_s,
            )
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=PHASES)
    first = first_run_of(reply)
    judgement = _judged(first, trainee)
    if first.losses:
        judgement = replace(judgement, series=(*loss_series(first), *time_series(first)))
    trainee.first = first
    return judgement


def _judged(first: FirstRun, trainee: Trainee) -> Judgement:
    done, wanted = len(first.losses), trainee.settings.steps
    if first.ended == "time":
        return error(
            f"{done} of {wanted} steps were done within {trainee.settings.limit_s:g} s; the curve ends there, and "
            "nothing is concluded from it",
            fix="give it more time with --limit-s, or fewer --steps",
        )
    if first.ended == "batches":
        return error(f"'batches' gave {done} batches, and {wanted} are needed", fix="let the iterator begin again")
    steps = Measured(
        value=done if first.ended is None else done - 1,
        bound=wanted,
        comparison=Comparison.AT_LEAST,
        origin=f"the steps asked for; {_speed(first)}",
        unit="steps with a finite loss",
    )
    if first.ended is not None:
        return failed(f"the loss is {first.losses[-1]} at step {done}", measured=steps)
    return judged(steps, otherwise=f"it ended after {done} of {wanted} steps")


def _speed(first: FirstRun) -> str:
    total = sum(first.seconds)
    if not total:
        return "no time was measured"
    shares = ", ".join(f"p{share} {1000 * percentile(first.seconds, share / 100):.3g} ms" for share in (50, 90, 99))
    return f"{len(first.seconds) / total:.3g} steps/s, a step takes {shares}"
