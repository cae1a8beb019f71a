"""Eval passes over the same batch agree to the last bit."""

from dataclasses import replace

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import names_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import forward, global_state
from validation.smoke.compare import difference, unusable
from validation.smoke.model import RegisteredModel, listed, tensors_of

CHECK = Check(
    id="smoke.determinism",
    title="Eval is deterministic",
    proves="In eval mode the same model gives the same output eight times for the same batch, and for the next batch "
    "that of a new model; the real numbers that it saves stay as they are, and its parameters of the dtype that they "
    "are built with.",
    defect="dropout that is active in eval mode",
    severity=Severity.MAJOR,
)
_PAIR = ("used", "unused")
REQUIRES = (forward.CHECK.id, global_state.CHECK.id)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Run the same batch several times; the outputs must be a usable reference first."""
    try:
        reply = model.call_on_batch(run, "model_repeat")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward",))
    first = tensors_of(reply, "first")
    if problem := unusable(first):
        return error(f"no reference to compare with: {problem}")
    if not reply.get("same_inputs"):
        return error(
            "the specs' 'inputs' gives another batch for the same generator, so two passes cannot be compared",
            fix="draw every random number of the inputs from the generator that is passed in",
        )
    measured = Measured(
        value=difference(first, tensors_of(reply, "second")),
        bound=0.0,
        comparison=Comparison.EQUAL,
        origin="the same weights, input and process: the same operations in the same order",
        unit="max abs difference",
    )
    if recast := names_of(reply, "recast"):
        return failed(
            f"forward in eval mode leaves parameters in another dtype: {listed(recast)}",
            measured=Measured(
                value=len(recast),
                bound=0,
                comparison=Comparison.EQUAL,
                origin="module.to(dtype) changes the module itself, and rounds its weights for good",
                unit="parameters in another dtype than before",
            ),
            fix="cast what is computed, such as parameter.to(dtype), and not the module, or use torch.autocast",
        )
    if measured.holds and (changed := names_of(reply, "changed")):
        return failed(
            f"each forward in eval mode changes what is saved: {listed(changed)}",
            measured=Measured(
                value=len(changed),
                bound=0,
                comparison=Comparison.EQUAL,
                origin="what is saved does not depend on how often a model was used",
                unit="tensors of the state dict that change",
            ),
            fix="change state where self.training is set, or register it with persistent=False",
        )
    if measured.holds and "used" in reply and (apart := difference(*(tensors_of(reply, key) for key in _PAIR))):
        return failed(
            "the output depends on calls before: after another batch it is not that of a new model of the same state",
            measured=replace(measured, value=apart),
            fix="keep nothing of a batch in the module, such as its mask or its sizes, or tell by them whether it fits",
        )
    if not measured.holds and reply.get("by_calls"):
        kept = names_of(reply, "kept")
        return failed(
            "the output depends on calls before: in eval mode each forward changes "
            f"{listed(kept) or 'what the model holds beside its parameters and buffers'}, and the next pass over the "
            "same batch gives another output",
            measured=measured,
            fix="change what is kept from call to call in train mode alone, where self.training is set",
        )
    return judged(
        measured,
        otherwise="eval passes over the same batch differ",
        fix="guard every random operation with self.training",
    )
