"""The model can be built without memory for its weights, and is the same then."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of, table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.model import RegisteredModel, listed

CHECK = Check(
    id="smoke.meta_build",
    title="Builds on the meta device",
    proves="Under torch.device('meta') the specs build a model whose parameters and buffers have the names, shapes and "
    "dtypes of the usual one's, and whose parameters take no memory.",
    defect="a constructor that reads the value of a tensor",
    severity=Severity.MINOR,
)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Build twice and compare what was built."""
    if not model.entry.meta:
        return not_applicable("its spec declares 'meta': False: what builds it needs the values of tensors")
    if undeclared := model.undeclared():
        return undeclared
    try:
        reply = run.probe.call_unharmed("model_meta_build", specs=model.specs, name=model.name, seed=run.seed)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("build on meta",))
    if stand_in := model.stand_in(reply):
        return error(stand_in)
    usual, meta = ({name: str(form) for name, form in table_of(reply, key).items()} for key in ("usual", "meta"))
    wrong = [
        f"{name} is {meta.get(name, 'absent')} on meta and {usual.get(name, 'absent')} elsewhere"
        for name in sorted(usual.keys() | meta.keys())
        if usual.get(name) != meta.get(name)
    ]
    wrong += [f"{name} has memory all the same" for name in names_of(reply, "real")]
    judgement = judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"the device of a tensor decides neither its name nor its form; tensors compared: {len(usual)}",
            unit="tensors that differ",
        ),
        otherwise=listed(wrong),
        fix="make parameters with torch's factories, without naming a device, and read no value in the constructor; "
        "where the model needs values, declare 'meta': False",
    )
    return model.sized(judgement, reply)
