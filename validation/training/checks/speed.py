"""The training is as fast as its owner declares."""

from dataclasses import replace

from audit.catalog import TrainingEntry
from audit.judgement import Judgement, Measured, judged
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from validation.training.checks import run as run_check
from validation.training.series import time_series
from validation.training.statistics import percentile
from validation.training.trainee import Trainee

CHECK = Check(
    id="train.speed",
    title="Training is as fast as declared",
    proves="The median step takes no longer than the declared rate allows.",
    defect="a step that is slower than what is declared",
    severity=Severity.MINOR,
)
REQUIRES = (run_check.CHECK.id,)


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Compare the median step with the declared rate."""
    entry, seconds = trainee.entry, trainee.run_done.seconds
    assert isinstance(entry, TrainingEntry)
    assert entry.min_steps_per_s is not None
    shares = ", ".join(f"p{share} {1000 * percentile(seconds, share / 100):.3g} ms" for share in (50, 90, 99))
    judgement = judged(
        Measured(
            value=1.0 / percentile(seconds, 0.5),
            bound=entry.min_steps_per_s,
            comparison=Comparison.AT_LEAST,
            origin=f"min_steps_per_s in {trainee.declared_as}; {shares}",
            unit="steps per second at the median",
        ),
        otherwise="a step takes longer than declared",
    )
    return replace(judgement, series=time_series(trainee.run_done))
