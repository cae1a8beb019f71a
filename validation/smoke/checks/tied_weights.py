"""A weight with several names stays one weight."""

from audit.gateway import ProbeFailure, TargetRaised
from audit.judgement import Judgement, Measured, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import build
from validation.smoke.model import RegisteredModel, listed

CHECK = Check(
    id="smoke.tied_weights",
    title="Tied weights stay tied",
    proves="Parameters with several names are one after the state dict was loaded and after a deep copy, and are in "
    "the saved file once.",
    defect="a hook that clones the tensors of the state dict",
    severity=Severity.MAJOR,
)
REQUIRES = (build.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare the groups of names before and after."""
    try:
        reply = model.call(run, "model_tied")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("save", "load"))
    groups = _groups(reply.get("groups"))
    if not groups:
        return not_applicable("no parameter has two names")
    wrong = []
    for what, key in (("loading the state dict", "loaded"), ("a deep copy", "copied")):
        after = {frozenset(group) for group in _groups(reply.get(key))}
        wrong += [f"{' and '.join(group)} are apart after {what}" for group in groups if frozenset(group) not in after]
    stored = table_of(reply, "stored")
    for group in groups:
        places = {stored[name] for name in group if name in stored}
        if len(places) > 1:
            wrong.append(f"{' and '.join(group)} are in the saved file {len(places)} times")
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="names of one parameter are one parameter; groups of names: "
            + listed(" = ".join(group) for group in groups),
            unit="groups of names that came apart",
        ),
        otherwise="; ".join(wrong),
        fix="tie them where the model is built, and let the state dict hold the tensors themselves",
    )


def _groups(value: object) -> list[list[str]]:
    if not isinstance(value, list) or not all(isinstance(group, list) for group in value):
        raise ProbeFailure("the target's process sent malformed groups")
    return [[str(name) for name in group] for group in value]
