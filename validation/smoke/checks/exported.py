"""What torch.export makes of the model computes what the model does."""

from collections.abc import Mapping
from dataclasses import replace

from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, error, failed, not_applicable
from audit.plan import Run
from audit.raised import describe_raised, innermost
from audit.replies import places_of, text_of
from audit.results import Check, Severity
from audit.target import Target
from validation.smoke.alike import ORIGIN, gaps, judge_gaps, moved_of
from validation.smoke.compare import difference, unusable
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.export",
    title="torch.export keeps the outputs",
    proves="The program that torch.export makes of the model gives its outputs, as nearly as rounding allows; "
    "where the specs declare `dynamic_batch`, one for any batch gives those of a larger batch too.",
    defect="a number read from the batch, which the exported program keeps for every other batch",
    severity=Severity.MAJOR,
)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Export and compare."""
    declared, dynamic = model.entry.exports, model.entry.dynamic_batch
    if undeclared := model.undeclared():
        return undeclared
    if declared is False:
        return not_applicable("the specs declare that it cannot be exported")
    if isinstance(declared, str):
        return not_applicable(f"the specs leave it to {declared}, another model of the same class")
    try:
        reply = model.call_on_batch_unharmed(run, "model_exports", dynamic=dynamic)
    except TargetRaised as raised:
        if raised.phase == "run the export":
            return failed(f"the exported program cannot be run: {describe_raised(raised, run.target)}")
        return error(describe_raised(raised, run.target))
    if stand_in := model.stand_in(reply):
        return error(stand_in)
    return model.sized(_judged(model, reply, run.target), reply)


def _judged(model: RegisteredModel, reply: Mapping[str, Plain], target: Target) -> Judgement:
    declared, dynamic = model.entry.exports, model.entry.dynamic_batch
    whole = tensors_of(reply, "whole")
    if problem := unusable(whole):
        return error(f"no reference to compare with: {problem}")
    if difference(whole, tensors_of(reply, "again")):
        return error("no reference to compare with: two passes of the model itself differ")
    if reply.get("refused") is not None:
        reason = f"torch.export refuses it: {text_of(reply, 'refused')}"
        if not declared:
            return not_applicable(f"{reason}; the specs do not promise that it exports")
        return failed(reason, location=innermost(places_of(reply, "refused_at"), target))
    if dynamic and reply.get("refused_dynamic") is not None:
        why = text_of(reply, "refused_dynamic")
        return failed(
            f"the specs declare dynamic_batch, and exporting it for any batch fails: {why}",
            location=innermost(places_of(reply, "refused_at"), target),
        )
    moved = moved_of(reply)
    found = gaps(whole, tensors_of(reply, "exported"), moved)
    if dynamic:
        larger = tensors_of(reply, "whole.dynamic")
        bounds = {gap.name: gap.bound for gap in found}
        of_larger = gaps(larger, tensors_of(reply, "exported.dynamic"), [])
        # What rounding does to one batch, it does to another.
        found += [replace(gap, name=f"{gap.name}, larger batch", bound=bounds[gap.name]) for gap in of_larger]
    return judge_gaps(
        found,
        origin=f"{ORIGIN}; captured without Python's bytecode (strict=False)"
        + ("; a batch of another size too" if dynamic else ""),
        otherwise="the exported program computes something else",
        fix="keep what depends on the batch in tensors, and do not read it into Python",
    )
