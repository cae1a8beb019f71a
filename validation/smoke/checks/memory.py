"""What building, running and differentiating the model takes is given back."""

from dataclasses import replace
from itertools import pairwise

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, failed, judged
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import numbers_of
from audit.results import Check, Comparison, Outcome, Series, Severity
from validation.smoke.checks import backward
from validation.smoke.model import PAIR, RegisteredModel

CHECK = Check(
    id="smoke.memory",
    title="Memory returns after a run",
    proves="After two rounds to warm up, six more of building the model, running it forward and backward and deleting "
    "it leave no more tensors alive from one round to the next, as the garbage collector counts them, nor do steps of "
    "one model leave more that hold a graph.",
    defect="a list of the losses, kept by the module's file, that holds every graph",
    severity=Severity.MAJOR,
)
_FIX = "keep numbers (loss.item()) and not tensors; bound caches, or clear them"
REQUIRES = (backward.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Measure how many tensors a round leaves."""
    try:
        reply = model.call_on_batch(run, "model_memory", batch_size=PAIR)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=())  # once it ran: smoke.backward passed
    tensors, sizes = numbers_of(reply, "tensors"), numbers_of(reply, "bytes")
    rounds = len(tensors) - 1
    if rounds < 1 or len(sizes) != len(tensors):
        return error("too few rounds were measured")
    slope = (tensors[-1] - tensors[0]) / rounds
    places = tuple(float(index) for index in range(1, len(tensors) + 1))
    judgement = judged(
        Measured(
            value=slope,
            bound=0.0,
            origin="equal rounds leave equal numbers of tensors: the same seed, the same batch, and counts have no "
            f"noise; after each of {len(tensors)} rounds alive: {', '.join(f'{count:g}' for count in tensors)}",
            unit="tensors more for each round",
            comparison=Comparison.AT_MOST,
        ),
        otherwise=f"each round leaves {slope:g} tensors and {(sizes[-1] - sizes[0]) / rounds:g} bytes more alive",
        fix=_FIX,
    )
    graphs = numbers_of(reply, "graphs")
    if (
        judgement.outcome is Outcome.PASSED
        and len(graphs) > 1
        and all(later > earlier for earlier, later in pairwise(graphs))
    ):
        return failed(
            f"each step leaves tensors alive that hold its graph, and with it all of its activations: after "
            f"{len(graphs)} steps of one model {', '.join(f'{count:g}' for count in graphs)}",
            measured=Measured(
                value=(graphs[-1] - graphs[0]) / (len(graphs) - 1),
                bound=0.0,
                origin="a graph is of no use after backward",
                unit="tensors with a graph more for each step",
                comparison=Comparison.AT_MOST,
            ),
            fix=_FIX,
        )
    return replace(
        judgement,
        series=(
            Series(name="tensors alive", x_name="round", x=places, y=tuple(tensors)),
            Series(name="memory of tensors alive", unit="byte", x_name="round", x=places, y=tuple(sizes)),
        ),
    )
