"""A state dict that is saved and loaded into another instance gives the same outputs."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import bytes_of
from audit.results import Check, Comparison, Outcome, Severity
from validation.smoke.alike import Tensors
from validation.smoke.checks import determinism
from validation.smoke.compare import difference, unusable
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.save_load",
    title="Saving and loading keeps the outputs",
    proves="The state dict of the model after a training step, saved and read with weights_only=True in another "
    "process, makes an instance that was initialised with another seed, and gave other outputs before, give the same "
    "outputs to the last bit.",
    defect="a tensor kept as a plain attribute, which the state dict does not hold",
    severity=Severity.CRITICAL,
)
REQUIRES = (determinism.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare the saved model's outputs with those of the one that loaded its state."""
    try:
        reply = model.call_on_batch(run, "model_save")
        saved = tensors_of(reply, "saved")
        if problem := unusable(saved):
            return error(f"no reference to compare with: {problem}")
        if not reply.get("entries"):
            return failed("the state dict is empty")
        state = bytes_of(reply, "state")
        # What is loaded must not rest on what the saving process has in memory, nor on what another model has left.
        judgement = _loaded(model, run, saved, state, anew=False)
        return _loaded(model, run, saved, state, anew=True) if judgement.outcome is not Outcome.PASSED else judgement
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("save", "load"))


def _loaded(model: RegisteredModel, run: Run, saved: Tensors, state: bytes, *, anew: bool) -> Judgement:
    loaded = model.call_lasting(run, "model_load", anew=anew, state=state)
    if difference(saved, tensors_of(loaded, "before")) == 0:
        return error("an instance built under another seed gives the same outputs before it loads: nothing was tested")
    return judged(
        Measured(
            value=difference(saved, tensors_of(loaded, "loaded")),
            bound=0.0,
            comparison=Comparison.EQUAL,
            origin="equal weights and input: the same operations in the same order",
            unit="max abs difference",
        ),
        otherwise="the instance that loaded the state dict gives other outputs",
        fix="register every tensor that the output depends on as a parameter or buffer",
    )
