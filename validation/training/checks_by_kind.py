"""Which checks there are: of a run in our loop, and of the target's own command."""

from collections.abc import Callable
from dataclasses import dataclass

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check
from validation.training.checks import (
    command_disk_full,
    command_killed,
    command_nan,
    command_ranks,
    command_repeats,
    command_resumes,
    gpus,
    learns,
    memory,
    optimized,
    ranks,
    resume,
    speed,
    twin,
)
from validation.training.checks import run as run_check
from validation.training.trainee import Trainee


@dataclass(frozen=True, kw_only=True)
class TrainingCheck:
    """A check, what must have passed before it, and the function that carries it out.

    One that is long runs the target's command many times, or on several ranks. `gpus` is as of `PlannedCheck`.
    """

    check: Check
    requires: tuple[str, ...]
    judge: Callable[[Trainee, Run], Judgement]
    is_long: bool = False
    gpus: int = 0


RUN_CHECKS = (
    *(
        TrainingCheck(check=module.CHECK, requires=module.REQUIRES, judge=module.judge)
        for module in (run_check, learns, memory, twin, resume, ranks)
    ),
    TrainingCheck(check=gpus.CHECK, requires=gpus.REQUIRES, judge=gpus.judge, gpus=gpus.GPUS),
)
OPTIMIZED_CHECK = TrainingCheck(check=optimized.CHECK, requires=optimized.REQUIRES, judge=optimized.judge)
SPEED_CHECK = TrainingCheck(check=speed.CHECK, requires=speed.REQUIRES, judge=speed.judge)
COMMAND_CHECKS = tuple(
    TrainingCheck(
        check=module.CHECK, requires=module.REQUIRES, judge=module.judge, is_long=module is not command_repeats
    )
    for module in (command_repeats, command_resumes, command_killed, command_nan, command_disk_full)
)
COMMAND_RANKS_CHECK = TrainingCheck(
    check=command_ranks.CHECK, requires=command_ranks.REQUIRES, judge=command_ranks.judge, is_long=True
)
