"""The same seed gives the same run, in another process."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Severity
from validation.training.again import TWIN_FIX, Taken, judge_taken, taken_again, twin_on_gpu
from validation.training.checks import run as run_check
from validation.training.trainee import Trainee

CHECK = Check(
    id="train.twin",
    title="The same seed gives the same run",
    proves="Another process that begins with the same seed computes the same losses in its first steps, and the same "
    "weights after them, to the last bit; on a GPU with torch's deterministic algorithms, or, where an operation has "
    "none, as near as runs come whose weights are rounded otherwise.",
    defect="a model that draws from a generator that no seed reaches",
    severity=Severity.MAJOR,
)
REQUIRES = (run_check.CHECK.id,)


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Begin anew in another process."""
    run.probe.close()
    taken: list[Taken] = []
    try:
        if run.target.on_gpu:
            return twin_on_gpu(trainee, run)
        taken.append(taken_again(trainee, run, 0))
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=run_check.PHASES)
    return judge_taken(
        taken,
        what="the run with the same seed",
        fix=TWIN_FIX,
    )
