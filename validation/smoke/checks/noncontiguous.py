"""Inputs that lie otherwise in memory give the same outputs."""

from audit.gateway import ProbeFailure, TargetRaised
from audit.judgement import Judgement, error, failed, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import number_of, text_of
from audit.results import Check, Severity
from validation.smoke.alike import ORIGIN, gaps, judge_gaps, moved_of
from validation.smoke.checks import determinism
from validation.smoke.compare import unusable
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.noncontiguous",
    title="Inputs that are not contiguous give the same output",
    proves="Inputs that are views, transposed or of every second element of longer rows, are taken and give the output "
    "of contiguous ones, as nearly as rounding allows.",
    defect="a .view() of an input, which needs contiguous memory",
    severity=Severity.MAJOR,
)
REQUIRES = (determinism.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Give the same numbers laid out in other ways."""
    try:
        reply = model.call_on_batch(run, "model_layouts")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward",))
    if not number_of(reply, "laid_out"):
        if number_of(reply, "beside"):
            return error(
                "the tensors of the inputs lie in objects, which the check does not rebuild",
                fix="let 'inputs' give tensors, or dicts, lists and tuples of them",
            )
        return not_applicable("no input is a tensor that can lie in memory in more than one way")
    whole = tensors_of(reply, "whole")
    if problem := unusable(whole):
        return error(f"no reference to compare with: {problem}")
    refused = reply.get("refused")
    if not isinstance(refused, dict):
        raise ProbeFailure("the target's process sent a reply without what was refused")
    if refused:
        layout = next(iter(refused))
        message = text_of(refused, layout)
        return failed(f"inputs {layout} in memory are refused: {message}", fix="use .reshape() or .contiguous()")
    moved = moved_of(reply)
    found = [
        gap for layout in ("transposed", "stepped") for gap in gaps(whole, tensors_of(reply, f"laid.{layout}"), moved)
    ]
    return judge_gaps(
        found,
        origin=ORIGIN,
        otherwise="the output depends on how the inputs lie in memory",
        fix="do not look at the memory of a tensor past its strides",
    )
