"""What torch.compile makes of the model computes what the model does."""

from collections.abc import Mapping

import torch
from torch import Tensor

from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, error, failed, not_applicable
from audit.plan import Run
from audit.raised import describe_raised, innermost
from audit.replies import number_of, places_of, text_of
from audit.results import Check, Severity
from audit.target import Target
from validation.smoke.alike import ORIGIN, gaps, judge_gaps, moved_of
from validation.smoke.compare import difference, unusable
from validation.smoke.model import PAIR, RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.compile",
    title="torch.compile keeps outputs and gradients",
    proves="What torch.compile captures of the model, run with PyTorch's own operators, gives the outputs, the "
    "loss and the gradients of the model, as nearly as rounding allows; where the specs declare `compiles`, it is one "
    "graph.",
    defect="a branch for compilers that leaves a layer out",
    severity=Severity.MAJOR,
)
BACKEND = "eager"


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Compile and compare."""
    declared = model.entry.compiles
    if undeclared := model.undeclared():
        return undeclared
    if declared is False:
        return not_applicable("the specs declare that it does not compile")
    if isinstance(declared, str):
        return not_applicable(f"the specs leave it to {declared}, another model of the same class")
    try:
        reply = model.call_on_batch_unharmed(
            run, "model_compiles", batch_size=PAIR, backend=BACKEND, whole_graph=bool(declared)
        )
    except TargetRaised as raised:
        return error(describe_raised(raised, run.target))
    if stand_in := model.stand_in(reply):
        return error(stand_in)
    return model.sized(_judged(model, reply, run.target), reply)


def _judged(model: RegisteredModel, reply: Mapping[str, Plain], target: Target) -> Judgement:
    declared = model.entry.compiles
    whole, plain = tensors_of(reply, "whole"), tensors_of(reply, "plain")
    if problem := unusable(whole) or _unusable_gradients(plain):
        return error(f"no reference to compare with: {problem}")
    if difference(whole, tensors_of(reply, "again")):
        return error("no reference to compare with: two passes of the model itself differ")
    if reply.get("refused") is not None:
        reason = f"torch.compile refuses it: {text_of(reply, 'refused')}"
        if declared:
            return failed(
                f"the specs declare that it compiles, and it is not captured as one graph: {reason}",
                fix="rewrite what breaks the graph, or declare nothing: then what is captured is compared all the same",
                location=innermost(places_of(reply, "refused_at"), target),
            )
        return not_applicable(f"{reason}; the specs do not promise that it compiles")
    if declared:
        graphs = number_of(reply, "graphs")
        if not graphs:
            return failed("the specs declare that it compiles, and torch.compile captures nothing of it")
        return _compared(reply, whole, plain, f"captured whole, as it is promised, for {graphs:g} forms of the call")
    captured, tried, breaks = (number_of(reply, key) for key in ("frames", "tried", "breaks"))
    if not captured:
        return not_applicable("torch.compile captures nothing of it and runs it as it is; the specs promise no more")
    why = f", the first break for: {text_of(reply, 'why')}" if breaks else ""
    pieces = f"captured in {captured:g} of {tried:g} pieces, graph breaks: {breaks:g}{why}"
    return _compared(reply, whole, plain, pieces)


def _compared(
    reply: Mapping[str, Plain], whole: Mapping[str, Tensor], plain: Mapping[str, Tensor], pieces: str
) -> Judgement:
    how = f"backend {BACKEND!r}, which needs no C++ compiler: the graph is compared, not generated code; {pieces}"
    found = gaps(whole, tensors_of(reply, "compiled"), moved_of(reply))
    found += gaps(plain, tensors_of(reply, "learned"), moved_of(reply, "shaken"))
    return judge_gaps(
        found,
        origin=f"{ORIGIN}; {how}",
        otherwise="the compiled model computes something else",
        fix="look for what asks torch.compiler.is_compiling(), and for values read into Python",
    )


def _unusable_gradients(gradients: dict[str, torch.Tensor]) -> str | None:
    bad = [name for name, tensor in gradients.items() if not torch.isfinite(tensor).all()]
    return f"{bad[0]} is not finite" if bad else None
