"""One batch goes through, and what comes out is finite and depends on the input."""

from collections.abc import Mapping

from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import build
from validation.smoke.compare import difference, nonfinite, unusable
from validation.smoke.misdeclared import error_of_inputs
from validation.smoke.model import RegisteredModel, listed, tensors_of

CHECK = Check(
    id="smoke.forward",
    title="Forward gives finite outputs that depend on the input",
    proves="In eval mode two batches go through the model; every element of the outputs is finite (neither NaN nor "
    "infinite), another batch gives another output, and the input is left as it was.",
    defect="a division by zero in the forward pass",
    severity=Severity.CRITICAL,
)
REQUIRES = (build.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Run two different batches."""
    try:
        reply = model.call_on_batch(run, "model_once")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward",))
    first, other = tensors_of(reply, "first"), tensors_of(reply, "other")
    measured = Measured(
        value=nonfinite(first) + nonfinite(other),
        bound=0,
        comparison=Comparison.EQUAL,
        origin="an output that is not finite carries no prediction",
        unit="elements not finite",
    )
    if not measured.holds and (undefined := names_of(reply, "undefined")):
        return error_of_inputs(
            model,
            run,
            f"gives NaN or infinite numbers in {listed(undefined)}, and {measured.value} elements of the output are "
            "not finite",
            fix="let 'inputs' give finite numbers; an infinity below all numbers may stand in a mask",
        )
    if not measured.holds:
        return failed(f"{measured.value} elements of the output are not finite", measured=measured)
    if problem := unusable(first):
        return error(problem)
    if reply.get("same_batch") and difference(first, other) == 0:
        return error_of_inputs(
            model,
            run,
            "gives the same batch for two generators, so whether the output depends on the input is not known",
            fix="draw the numbers of the batch from the generator that 'inputs' is given",
        )
    if difference(first, other) == 0 and _ignores_input(reply):
        return failed("two different batches give the same output: the model ignores its input")
    if overwritten := names_of(reply, "overwritten"):
        return failed(f"forward overwrites what it is given: {', '.join(overwritten)}", fix="work on a copy")
    return judged(measured, otherwise="")


def _ignores_input(reply: Mapping[str, Plain]) -> bool:
    """Whether both batches give one output with noise on the parameters too: a last layer may begin as zero."""
    return difference(tensors_of(reply, "first_disturbed"), tensors_of(reply, "other_disturbed")) == 0
