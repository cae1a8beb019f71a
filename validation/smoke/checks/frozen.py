"""Frozen parameters get no gradient, and freezing some takes it from no other."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import optimizer_step
from validation.smoke.model import RegisteredModel

CHECK = Check(
    id="smoke.frozen",
    title="Freezing parameters stops their gradients alone",
    proves="With the first half of the trainable parameters frozen, these and those that the model freezes itself get "
    "no gradient, and every other parameter that got one before still does.",
    defect="a forward that turns requires_grad of its backbone on again",
    severity=Severity.MAJOR,
)
REQUIRES = (optimizer_step.CHECK.id,)
_MOST_NAMED = 8


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Freeze half of the model and differentiate the loss."""
    try:
        reply = model.call_on_batch(run, "model_with_frozen")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward", "loss", "backward"))
    if not names_of(reply, "frozen"):
        return not_applicable("it has one trainable parameter: freezing it would leave nothing to differentiate")
    wrong = [f"{name} is frozen and gets a gradient" for name in names_of(reply, "with_gradient")]
    wrong += [f"{name} gets none once others are frozen" for name in names_of(reply, "lost")]
    more = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"requires_grad says which parameters learn; frozen: {len(names_of(reply, 'frozen'))}",
            unit="parameters",
        ),
        otherwise="; ".join(wrong[:_MOST_NAMED]) + more,
        fix="leave requires_grad to the user, and let gradients pass through what is frozen",
    )
