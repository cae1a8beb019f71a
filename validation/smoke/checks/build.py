"""The registered model can be built, and what is built is the class of the package that it says it is."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import number_of, text_of
from audit.results import Check, Comparison, Severity
from validation.smoke.model import RegisteredModel

CHECK = Check(
    id="smoke.build",
    title="Builds, and is the class it says it is",
    proves="The specs build the declared class, the package's own sources define it, and it has trainable parameters.",
    defect="a spec that builds an nn.Sequential in place of the model",
    severity=Severity.CRITICAL,
)
REQUIRES: tuple[str, ...] = ()


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Build the model and compare its class with the declared one and with the sources."""
    if model.entry.problem:
        return error(f"specs {model.specs}: MODELS[{model.name!r}]: {model.entry.problem}")
    try:
        reply = model.call(run, "model_build")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("build",))
    built = f"{text_of(reply, 'class_module')}:{text_of(reply, 'class_qualname')}"
    if built != model.entry.declared:
        return failed(
            f"the specs declare {model.entry.declared} and build {built}",
            fix="build the class that is declared, or declare the one that is meant",
        )
    if model.subject.digest is None:
        return failed(
            f"{built} is not defined in the sources of {run.target.package}: a stand-in cannot be judged in its place",
            fix="declare the class in the module that defines it",
        )
    if reply.get("another_of_that_name"):
        return failed(f"what is built calls itself {built}, and that is another class", fix="build the declared class")
    trainable = number_of(reply, "trainable")
    judgement = judged(
        Measured(
            value=trainable,
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin="a model without trainable parameters cannot learn",
            unit="trainable parameters",
        ),
        otherwise=f"{built} has no trainable parameters",
    )
    return model.sized(judgement, reply)
