"""A block adds what its branches compute to what it is given."""

from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, failed, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import determinism
from validation.smoke.compare import difference
from validation.smoke.model import RegisteredModel, tensors_of

CHECK = Check(
    id="smoke.residual",
    title="A block adds to what it is given",
    proves="In a model that declares `residual`, a block returns the tensor that it was given, to the last bit, once "
    "the last layer of each of its branches is zero, and another one before that.",
    defect="a residual connection that is left out",
    severity=Severity.MAJOR,
)
REQUIRES = (determinism.CHECK.id,)


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Silence the branches, and look at what is left of each block."""
    declared = model.entry.residual
    if declared is None:
        return not_applicable("the specs declare no `residual`")
    try:
        reply = model.call_on_batch(
            run, "model_residual", residual={block: list[Plain](layers) for block, layers in declared.items()}
        )
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward",))
    blocks = reply.get("blocks")
    if not isinstance(blocks, list) or not blocks:
        return error(f"none of the blocks {', '.join(declared)} is run, or none takes and returns a tensor")
    worst, apart = 0.0, []
    for index, name in enumerate(map(str, blocks)):
        given, returned = tensors_of(reply, f"given.{index}"), tensors_of(reply, f"returned.{index}")
        if difference(tensors_of(reply, f"before.{index}"), returned) == 0:
            return error(f"{name} returns the same with its branches at zero: nothing was tested")
        gap = difference(given, returned)
        worst = max(worst, gap)
        apart += [name] if gap else []
    if worst == float("inf"):
        return failed(
            f"with its branches at zero {apart[0]} returns a tensor of another shape than it was given, or no numbers",
            fix="add the branch to what the block is given",
        )
    return judged(
        Measured(
            value=worst,
            bound=0.0,
            comparison=Comparison.EQUAL,
            origin=f"adding zero changes no number; blocks {', '.join(map(str, blocks))}",
            unit="max abs difference",
        ),
        otherwise=f"with its branches at zero {', '.join(apart)} does not return what it was given",
        fix="add the branch to what the block is given, not to what was made of it",
    )
