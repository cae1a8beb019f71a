"""Every tensor that forward uses is a parameter or a buffer, or comes to the device by itself."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import forward
from validation.smoke.model import RegisteredModel, listed

CHECK = Check(
    id="smoke.registered",
    title="Every tensor is registered",
    proves="Of the tensors that the built model holds in plain attributes, lists, dicts and modules that are not "
    "submodules, and in the files of its classes, forward uses none that wants a gradient, and joins none with a "
    "tensor of the model or its input without moving it there.",
    defect="layers kept in a plain list",
    severity=Severity.MAJOR,
)
REQUIRES = (forward.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Follow what is not registered through a forward pass."""
    try:
        reply = model.call_on_batch(run, "model_unregistered")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=())  # it ran without being followed: smoke.forward passed
    learnable, unmoved = names_of(reply, "learnable"), names_of(reply, "unmoved")
    wrong = [f"{name} wants a gradient and is no parameter" for name in learnable]
    wrong += [f"{name} stays where it was made" for name in unmoved if name not in learnable]
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="to(), parameters() and the state dict know what is registered and nothing else; tensors held "
            f"beside: {len(names_of(reply, 'found'))}",
            unit="unregistered tensors that forward uses",
        ),
        otherwise=listed(wrong),
        fix="register it: nn.Parameter, register_buffer, nn.ModuleList or nn.ModuleDict",
    )
