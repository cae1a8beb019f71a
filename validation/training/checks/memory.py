"""The memory does not grow from step to step."""

from dataclasses import replace

from audit.judgement import Judgement, Measured, error, judged
from audit.plan import Run
from audit.results import Check, Severity
from validation.training.checks import run as run_check
from validation.training.series import memory_series
from validation.training.statistics import LEVEL, growth
from validation.training.trainee import Trainee

CHECK = Check(
    id="train.memory",
    title="Memory does not grow from step to step",
    proves="The resident memory of the process, with what torch has allocated on a GPU, looked at after equal numbers "
    "of steps behind the first quarter, does not grow by a page or more between two looks: the interval of its median "
    "growth reaches below that.",
    defect="a loss that is kept with its graph",
    severity=Severity.MAJOR,
)
REQUIRES = (run_check.CHECK.id,)
_PAGE_BYTES = 4096


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Estimate the growth per step with its interval."""
    seen = trainee.run_done.memory
    settled = seen[len(seen) // 4 :]
    found = growth([size for _, size in settled])
    if found is None:
        return error(
            f"{len(settled)} looks at the memory are too few for an interval at {LEVEL:.1%}", fix="take more --steps"
        )
    every = settled[1][0] - settled[0][0]
    low, middle, high = (value / every for value in (found.lower, found.median, found.upper))
    judgement = judged(
        Measured(
            value=low,
            bound=_PAGE_BYTES / every,
            origin=f"one page between two looks, which is the finest that can be seen; median {middle:.6g}, "
            f"{LEVEL:.1%} interval {low:.6g} to {high:.6g} bytes per step, from {len(settled)} looks",
            unit="bytes per step, lower limit",
        ),
        otherwise=f"memory grows by {middle:.0f} bytes per step ({LEVEL:.1%} interval {low:.0f} to {high:.0f})",
        fix="keep numbers, not tensors with their graphs: loss.item(), or loss.detach()",
    )
    return replace(judgement, series=memory_series(trainee.run_done))
