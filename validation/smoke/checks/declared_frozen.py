"""What is declared frozen does not learn, and everything else does."""

from collections.abc import Mapping

from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, judged, not_applicable
from audit.plan import Run
from audit.replies import names_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import forward
from validation.smoke.misdeclared import judge_misdeclared
from validation.smoke.model import RegisteredModel, listed

CHECK = Check(
    id="smoke.declared_frozen",
    title="What is declared frozen is frozen, and nothing else",
    proves="In a model that declares `frozen`, in train mode, before and after a forward and a loss, requires_grad is "
    "False of each parameter that it names and True of every other one. That an optimizer step changes none that is "
    "frozen is what smoke.optimizer_step proves.",
    defect="a backbone that is declared frozen and learns",
    severity=Severity.MAJOR,
)
REQUIRES = (forward.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare requires_grad with what is declared."""
    if model.entry.frozen is None:
        return not_applicable("the specs declare no `frozen`")
    try:
        reply = model.call_on_batch(run, "model_declared_frozen", frozen=list[Plain](model.entry.frozen))
    except TargetRaised as raised:
        return judge_misdeclared(model, run, "frozen", raised, phases=())
    wrong = [
        *_said(reply, "learns", "declared frozen, and learn"),
        *_said(reply, "rests", "not declared frozen, and do not learn"),
    ]
    return judged(
        Measured(
            value=len(_all_of(reply, "learns") + _all_of(reply, "rests")),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="requires_grad says which parameters learn, as the specs declare it; "
            f"frozen: {len(names_of(reply, 'frozen'))}, others: {len(names_of(reply, 'trainable'))}",
            unit="parameters that are not as declared",
        ),
        otherwise="; ".join(wrong),
        fix="set requires_grad where the model is built and leave it so in train() and forward, or correct `frozen`",
    )


def _all_of(reply: Mapping[str, Plain], key: str) -> list[str]:
    """Return the names of what is not as declared before the forward or after it, once each."""
    return list(dict.fromkeys(names_of(reply, key) + names_of(reply, f"{key}_after_forward")))


def _said(reply: Mapping[str, Plain], key: str, what: str) -> list[str]:
    before = names_of(reply, key)
    later = [name for name in _all_of(reply, key) if name not in before]
    return [
        f"{what}{when}: {listed(names)}" for names, when in ((before, ""), (later, " once forward has run")) if names
    ]
