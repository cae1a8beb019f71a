"""A gradient reaches every floating-point input that the output depends on."""

from collections.abc import Mapping

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, judged, not_applicable
from audit.plan import Run
from audit.raised import describe_raised
from audit.replies import number_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import determinism, optimizer_step
from validation.smoke.model import PAIR, RegisteredModel

CHECK = Check(
    id="smoke.input_gradients",
    title="A gradient reaches the inputs",
    proves="In float64 the gradient of the outputs with respect to each floating-point input is finite, and is "
    "not zero "
    "where a change of that input by a millionth changes an output.",
    defect="an input that is detached before it is used",
    severity=Severity.MAJOR,
)
REQUIRES = (optimizer_step.CHECK.id, determinism.CHECK.id)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare what arrives at the inputs with what they do."""
    try:
        reply = model.call_on_batch(run, "model_of_inputs", batch_size=PAIR)
    except TargetRaised as raised:
        return not_applicable(
            f"it does not run in float64, which the specs do not promise: {describe_raised(raised, run.target)}"
        )
    reached = reply.get("reached")
    if not isinstance(reached, dict):
        raise ProbeFailure("the target's process sent a reply without gradients")
    if not reached:
        return not_applicable("no input is of floating-point numbers")
    wrong = [f"{name}: {trouble}" for name, each in sorted(reached.items()) if (trouble := _trouble(each))]
    still = [name for name, each in reached.items() if isinstance(each, Mapping) and not each.get("moves")]
    if len(still) == len(reached):
        return not_applicable(f"a millionth more changes no output: {', '.join(sorted(still))}")
    if wrong and number_of(reply, "frozen"):
        return not_applicable(
            f"{number_of(reply, 'frozen'):g} of its parameters are frozen, and it may keep gradients from the inputs "
            f"on purpose: {'; '.join(wrong)}"
        )
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"what changes the output has a derivative; floating-point inputs: {', '.join(sorted(reached))}"
            + (f"; a millionth more changes nothing: {', '.join(sorted(still))}" if still else ""),
            unit="inputs without a usable gradient",
        ),
        otherwise="; ".join(wrong),
        fix="do not detach the input, nor turn it into whole numbers, on its way to the output",
    )


def _trouble(each: Plain) -> str | None:
    if not isinstance(each, Mapping):
        raise ProbeFailure("the target's process sent a malformed gradient")
    if number_of(each, "nonfinite"):
        return f"{number_of(each, 'nonfinite'):g} elements of its gradient are not finite"
    if each.get("moves") and number_of(each, "max_abs") == 0:
        return "it changes the output, and no gradient reaches it"
    return None
