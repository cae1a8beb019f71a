"""A model can be copied, pickled and saved whole, and the copy gives the same outputs."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import determinism
from validation.smoke.compare import difference, unusable
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.copies",
    title="Copies give the same outputs",
    proves="After a training step, a deep copy, a pickled copy and one that went through torch.save as a whole give "
    "the outputs of the original to the last bit.",
    defect="an attribute that cannot be pickled, such as a lambda",
    severity=Severity.MINOR,
)
REQUIRES = (determinism.CHECK.id,)
_WAYS = ("deepcopy", "pickle", "torch.save")
_PICKLING = ("pickle", "torch.save")


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare the outputs of each copy; the pickles never leave the target's process."""
    try:
        reply = model.call_on_batch(run, "model_copies")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=())
    original = tensors_of(reply, "original")
    raised_by = {way: str(what) for way, what in table_of(reply, "raised").items()}
    if problem := unusable(original):
        return error(f"no reference to compare with: {problem}")
    # torch refuses to pickle what torch.nn.utils.parametrize has changed, and says so.
    ways = [way for way in _WAYS if not (reply.get("parametrized") and way in _PICKLING)]
    wrong = [f"{way} raised {raised_by[way]}" for way in ways if way in raised_by]
    for way in ways:
        if way not in raised_by and (gap := difference(original, tensors_of(reply, way))):
            wrong.append(f"{way}: the copy's outputs differ by {gap:g}")
    left_out = "" if len(ways) == len(_WAYS) else "; torch pickles no parametrized modules"
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin="equal weights and input: the same operations in the same order; "
            f"ways tried: {', '.join(ways)}{left_out}",
            unit="ways of copying that fail",
        ),
        otherwise="; ".join(wrong),
        fix="hold functions that are defined at the top of a module, and no open files, locks or generators",
    )
