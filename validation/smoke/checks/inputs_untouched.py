"""A training step leaves the batch as it was."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of, number_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import backward
from validation.smoke.model import RegisteredModel

CHECK = Check(
    id="smoke.inputs_untouched",
    title="Training leaves its inputs as they were",
    proves="Forward in train mode, the loss and backward change no tensor of the batch, write into none in place, even "
    "numbers that stand there already, and add or remove none.",
    defect="a loss that normalises its targets in place",
    severity=Severity.MAJOR,
)
REQUIRES = (backward.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare the inputs before and after: their numbers, and how often they were written in place."""
    try:
        reply = model.call_on_batch(run, "model_untouched")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward", "loss", "backward"))
    tensors = number_of(reply, "tensors")
    if not tensors:
        return error("the inputs hold no tensor")
    overwritten = names_of(reply, "overwritten")
    overwritten += [f"{name}, in place, by the numbers that it had" for name in names_of(reply, "rewritten")]
    overwritten += [] if reply.get("same_keys") else ["the arguments by their names"]
    return judged(
        Measured(
            value=len(overwritten),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"a batch can be used again, by the next epoch, model or metric; {tensors:g} tensors in it",
            unit="inputs that are changed",
        ),
        otherwise=f"training changes what it is given: {', '.join(overwritten)}",
        fix="work on a copy",
    )
