"""A file in the safetensors format gives the same outputs back."""

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable, skipped
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of, text_of
from audit.results import Check, Comparison, Severity
from audit.scratch import scratch_folder
from validation.smoke.checks import determinism
from validation.smoke.compare import difference, unusable
from validation.smoke.model import RegisteredModel, listed, tensors_of

CHECK = Check(
    id="smoke.safetensors",
    title="Saving as safetensors keeps the outputs",
    proves="After a training step, a file that safetensors.torch.save_model wrote and load_model read makes an "
    "instance that was initialised with another seed give the same outputs to the last bit.",
    defect="parameters that are overlapping views of one tensor",
    severity=Severity.MAJOR,
)
REQUIRES = (determinism.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compare the saved model's outputs with those of the one that loaded the file."""
    try:
        with scratch_folder("state") as folder:  # removed here: the target's process may not live to do it
            reply = model.call_on_batch(run, "model_safetensors", folder=folder)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("save", "load"))
    if "why" in reply:
        return skipped(f"needs the library safetensors in the target's interpreter: {text_of(reply, 'why')}")
    if "untensored" in reply:
        entries = listed(names_of(reply, "untensored"))
        return not_applicable(f"the state dict holds what is no tensor, which the format has no place for: {entries}")
    saved = tensors_of(reply, "saved")
    if problem := unusable(saved):
        return error(f"no reference to compare with: {problem}")
    if difference(saved, tensors_of(reply, "before")) == 0:
        return error("an instance built under another seed gives the same outputs before it loads: nothing was tested")
    return judged(
        Measured(
            value=difference(saved, tensors_of(reply, "loaded")),
            bound=0.0,
            comparison=Comparison.EQUAL,
            origin="equal weights and input: the same operations in the same order; "
            f"tensors in the file: {len(names_of(reply, 'keys'))}",
            unit="max abs difference",
        ),
        otherwise="the instance that loaded the file gives other outputs",
        fix="register every tensor that the output depends on as a parameter or buffer",
    )
