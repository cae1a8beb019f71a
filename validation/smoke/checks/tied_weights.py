"""A weight with several names stays one weight."""

from collections.abc import Mapping

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of, table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import build
from validation.smoke.misdeclared import is_misdeclared, judge_misdeclared
from validation.smoke.model import RegisteredModel, listed

CHECK = Check(
    id="smoke.tied_weights",
    title="Tied weights stay tied",
    proves="Parameters with several names are one after the state dict was loaded and after a deep copy, and are in "
    "the saved file once. What is declared `tied` is one when it is built, after these, in a pickled copy and one that "
    "went through torch.save as a whole, after an optimizer step and, of parameters, in another dtype: one "
    "parameter, or with a buffer among the names one memory.",
    defect="a hook that clones the tensors of the state dict",
    severity=Severity.MAJOR,
)
REQUIRES = (build.CHECK.id,)
_BUILDING = "building"


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare the groups of names before and after."""
    declared = model.entry.tied or []
    try:
        reply = model.call_on_batch(run, "model_tied", declared=[list[Plain](group) for group in declared])
    except TargetRaised as raised:
        if is_misdeclared(raised):
            return judge_misdeclared(model, run, "tied", raised)
        return judge_raised(raised, run.target, phases=("save", "load"))
    groups = _groups(reply.get("groups"))
    if not groups:
        return not_applicable("no parameter has two names, and the specs declare no `tied`")
    apart = {what: _groups(each) for what, each in table_of(reply, "apart").items()}
    never = apart.get(_BUILDING, [])
    wrong = [f"{' and '.join(group)} are two tensors when it is built" for group in never]
    for what, after in apart.items():
        wrong += [f"{' and '.join(group)} are apart after {what}" for group in after if group not in never]
    wrong += _stored_apart([group for group in groups if group not in never], table_of(reply, "stored"))
    refused = names_of(reply, "refused")
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="names of one parameter are one parameter; groups of names: "
            + listed(" = ".join(group) for group in groups)
            + f"; looked at after {', '.join(apart)}"
            + (f"; not after {', '.join(refused)}, which raised: see smoke.copies" if refused else ""),
            unit="groups of names that came apart",
        ),
        otherwise="; ".join(wrong),
        fix="tie them where the model is built, by one nn.Parameter and not by its data, and let the state dict hold "
        "the tensors themselves",
    )


def _stored_apart(groups: list[list[str]], stored: Mapping[str, Plain]) -> list[str]:
    """Say which groups are in the saved file more than once."""
    wrong = []
    for group in groups:
        places = {stored[name] for name in group if name in stored}
        if len(places) > 1:
            wrong.append(f"{' and '.join(group)} are in the saved file {len(places)} times")
    return wrong


def _groups(value: object) -> list[list[str]]:
    if not isinstance(value, list) or not all(isinstance(group, list) for group in value):
        raise ProbeFailure("the target's process sent malformed groups")
    return [[str(name) for name in group] for group in value]
