"""Two ranks learn what one process learns from the same global batch."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Comparison, Severity
from audit.scratch import scratch_folder
from validation.smoke.compare import difference, unusable
from validation.smoke.model import tensors_of
from validation.training.checks import twin
from validation.training.settings import RANKS_STEPS
from validation.training.trainee import KIND, Trainee

CHECK = Check(
    id="train.ranks",
    title="Two ranks equal one process",
    proves="After some steps under DistributedDataParallel on two processes over gloo, each with half of the global "
    "batch, every parameter is the same as in one process that has added up the gradients of both halves.",
    defect="a parameter that forward overwrites with what one rank has seen",
    severity=Severity.MAJOR,
)
REQUIRES = (twin.CHECK.id,)


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Train on two ranks and on one."""
    return judge_ranks(trainee, run, on_gpus=False)


def judge_ranks(trainee: Trainee, run: Run, *, on_gpus: bool) -> Judgement:
    """The same over gloo on processors, or over NCCL on two GPUs."""
    run.probe.close()  # forks of a process that has computed before would lack its threads
    try:
        with scratch_folder(KIND) as folder:
            reply = trainee.call(
                run,
                "train_ranks",
                steps=RANKS_STEPS,
                folder=folder,
                seconds=trainee.settings.limit_s,
                on_gpus=on_gpus,
            )
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=())
    problem = reply.get("problem")
    if problem is not None:
        said = str(problem)
        place = "under DistributedDataParallel"
        return error(said) if said.startswith(("one process", "not done")) else failed(f"{place}: {said}")
    ranks, alone = tensors_of(reply, "ranks"), tensors_of(reply, "alone")
    if trouble := unusable(alone):
        return error(f"no reference to compare with: {trouble}")
    return judged(
        Measured(
            value=difference(ranks, alone),
            bound=0.0,
            comparison=Comparison.EQUAL,
            origin=f"{RANKS_STEPS} steps; a mean over two halves is a sum of two halved terms, which is exact in "
            "either order",
            unit="max abs difference of a parameter",
        ),
        otherwise="the parameters of two ranks differ from those of one process with the same global batch",
        fix="let nothing but gradients change a parameter, and let ranks share what each has counted",
    )
