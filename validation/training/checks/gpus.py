"""Two GPUs learn what one learns from the same global batch."""

from audit.judgement import Judgement, skipped
from audit.plan import Run
from audit.results import Check, Severity
from validation.training.checks import ranks, twin
from validation.training.trainee import Trainee

CHECK = Check(
    id="train.gpus",
    title="Two GPUs equal one",
    proves="What train.ranks proves, over NCCL on two GPUs.",
    defect="a tensor that stays on the first GPU",
    severity=Severity.MINOR,
)
REQUIRES = (twin.CHECK.id,)
GPUS = 2


def judge(trainee: Trainee, run: Run) -> Judgement:
    """Train on two GPUs where there are two."""
    devices = run.probe.call("environment").get("devices")
    if not isinstance(devices, list) or len(devices) < GPUS:
        return skipped(f"needs {GPUS} GPUs")
    return ranks.judge_ranks(trainee, run, on_gpus=True)
