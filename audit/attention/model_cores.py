"""Attention that only a forward of a model shows: no class or function of the inventory carries it out."""

import math
from collections.abc import Iterator, Sequence

from audit.attention.carried import Span
from audit.attention.traced import Core, cores_of, trace_of_model
from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import describe_raised
from audit.results import Comparison

_SAME = 1e-3  # relative, as in `traced_scale`
_WRONG_AXES = ("queries", "heads", "batch")


def judge(specs: str, name: str, spans: Sequence[Span], run: Run) -> Judgement:
    """Trace the model `name` of the specs, and look at what lies outside the `spans` of the inventory.

    Raises:
        Settled: the forward carries out no softmax attention.
        ProbeFailure: the process ended.
    """
    try:
        trace = trace_of_model(run, specs, name)
    except TargetRaised as raised:
        return error(describe_raised(raised, run.target))
    cores = cores_of(trace)
    own = [core for core in cores if not any(span.holds(core.frames) for span in spans)]
    if not own:
        return not_applicable(
            f"each of its {len(cores)} attention computations is that of a class or function of the inventory, and is "
            "judged with it"
        )
    wrong = [(core, reason) for core in own for reason in _mistakes(core)]
    reasons = dict.fromkeys(f"{core.where}: {reason}" for core, reason in wrong)
    return judged(
        Measured(
            value=len(wrong),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"softmax attention, as a trace shows it: {len(own)} of {len(cores)} computations belong to nothing "
            "in the inventory",
            unit=f"mistakes in {len(own)} attention computations",
        ),
        otherwise="; ".join(reasons),
        fix="declare what computes it under ATTENTION in the specs, so that it is compared with an oracle",
        location=wrong[0][0].location(run.target) if wrong else None,
    )


def _mistakes(core: Core) -> Iterator[str]:
    if core.softmax_axis in _WRONG_AXES and not core.renormalised:
        yield f"the softmax runs over the {core.softmax_axis}"
    if core.softmaxes and core.softmaxes > 1 and not core.chosen_between:
        yield f"{core.softmaxes} softmaxes in a row"
    if core.dropout:
        yield f"dropout acts in eval mode, at rate {core.dropout:.2g}"
    if core.scale is None or not core.head_dim or core.normalised:
        return
    named = {"sqrt(head_dim), the inverse": math.sqrt(core.head_dim)}
    if core.heads and core.heads > 1:
        named["1/sqrt(heads x head_dim)"] = (core.heads * core.head_dim) ** -0.5
    for name, scale in named.items():
        if core.head_dim > 1 and abs(core.scale - scale) <= _SAME * scale:
            usual = core.head_dim**-0.5
            yield f"the logits are scaled by {core.scale:.4g} = {name}, not by 1/sqrt(head_dim) = {usual:.4g}"
