"""The run goes on from each of its checkpoints as if it had not been interrupted."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Severity
from validation.training.again import Taken, judge_near, judge_taken, taken_again
from validation.training.checks import twin
from validation.training.trainee import Trainee

CHECK = Check(
    id="train.resume",
    title="Resuming from every checkpoint continues the same curve",
    proves="From each checkpoint (state dicts of model, optimizer and schedule, and the random state), another process "
    "whose model began with other weights computes the same losses in the steps behind it, and the same weights after "
    "them, to the last bit; on a GPU the losses are as near as those of runs whose weights are rounded otherwise.",
    defect="a running average kept as a plain attribute, which the state dict does not hold",
    severity=Severity.CRITICAL,
)
_WHAT = "the resumed run"
_FIX = "register what the next step depends on as a parameter or buffer, or save it with get_extra_state"
REQUIRES = (twin.CHECK.id,)


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Go on from each checkpoint in a process that has not seen the run."""
    run.probe.close()
    taken: list[Taken] = []
    try:
        if run.target.on_gpu:
            return judge_near(trainee, run, trainee.run_done.checkpoints, what=_WHAT, fix=_FIX)
        for checkpoint in trainee.run_done.checkpoints:
            run.tell(f"resuming from step {checkpoint}")
            taken.append(taken_again(trainee, run, checkpoint))
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("load",))
    finally:
        trainee.forget()
    return judge_taken(
        taken,
        what=_WHAT,
        fix=_FIX,
    )
