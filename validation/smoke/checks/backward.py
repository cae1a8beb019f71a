"""The loss is finite, and a finite gradient that is not zero reaches every trainable parameter."""

import math
from collections.abc import Mapping

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of, number_of, text_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import forward, global_state
from validation.smoke.model import RegisteredModel, listed

CHECK = Check(
    id="smoke.backward",
    title="A finite gradient reaches every trainable parameter",
    proves="The loss on one batch is finite and no loss of torch warns that it repeats predictions over targets; every "
    "trainable parameter receives a gradient that is finite and not zero everywhere, from the first of at most eight "
    "batches, with an optimizer step between, that gives it one.",
    defect="a parameter that the forward pass does not use",
    severity=Severity.CRITICAL,
)
REQUIRES = (forward.CHECK.id, global_state.CHECK.id)
_MAX_NAMED = 8


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Differentiate the loss and look at what arrived at each parameter."""
    try:
        reply = model.call_on_batch(run, "model_backward")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward", "loss", "backward", "step"))
    loss = number_of(reply, "loss")
    if not math.isfinite(loss):
        return failed(f"the loss is {loss}")
    if said := text_of(reply, "broadcast"):
        return failed(
            f"the loss compares tensors of different shapes, so that each prediction meets every target: {said}",
            fix="give the target the shape of the output, as by unsqueeze(-1) or squeeze(-1)",
        )
    gradients = reply.get("gradients")
    if not isinstance(gradients, dict) or not gradients:
        raise ProbeFailure("the target's process sent a reply without gradients")
    reasons = {name: reason for name, each in gradients.items() if (reason := _trouble(each))}
    if reasons and reasons.keys() <= set(unchosen := names_of(reply, "unchosen")):
        return error(
            f"no batch of {number_of(reply, 'batches'):g} reached {listed(sorted(unchosen))}: which modules of the "
            "list are called differs from batch to batch, so that nothing is known of these",
            fix="give inputs for which every one is chosen, as by more samples",
        )
    return judged(
        Measured(
            value=len(reasons),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"each of the {len(gradients)} trainable parameters must be able to learn; "
            f"batches tried: {number_of(reply, 'batches'):g}",
            unit="parameters without a usable gradient",
        ),
        otherwise=_listed(reasons),
        fix=_fix(reasons, gradients),
    )


def _fix(reasons: Mapping[str, str], gradients: Mapping[str, Plain]) -> str:
    if reasons.keys() == gradients.keys():
        return "let the loss depend on the output: look for detach(), item(), a loss of other numbers, or no_grad()"
    called = [name for name in reasons if isinstance(each := gradients[name], dict) and each.get("called")]
    if called:
        return (
            "its module is called, and nothing comes back: look for detach(), .data, torch.no_grad() or a result that "
            "is not used between it and the loss"
        )
    return "use the parameter in the forward pass, freeze it, or remove it"


def _trouble(gradient: Plain) -> str | None:
    if not isinstance(gradient, Mapping):
        raise ProbeFailure("the target's process sent a malformed gradient")
    if not gradient.get("present"):
        return "none"
    if number_of(gradient, "nonfinite"):
        return f"{number_of(gradient, 'nonfinite')} elements not finite"
    return "zero everywhere" if number_of(gradient, "max_abs") == 0 else None


def _listed(reasons: Mapping[str, str]) -> str:
    shown = [f"{name}: {reason}" for name, reason in sorted(reasons.items())[:_MAX_NAMED]]
    more = f" and {len(reasons) - _MAX_NAMED} more" if len(reasons) > _MAX_NAMED else ""
    return f"gradient in every batch tried: {'; '.join(shown)}{more}"
