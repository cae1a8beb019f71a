"""A block adds what its branches compute to what it is given."""

from collections.abc import Iterator, Mapping

from torch import Tensor

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
    proves="In a model that declares `residual`, every declared block whose branches are silent returns the tensor "
    "that it was given, to the last bit, and another one where any of its branches alone speaks.",
    defect="a residual connection that is left out",
    severity=Severity.MAJOR,
)
REQUIRES = (determinism.CHECK.id,)
_FIX = "add every branch to what the block was given, or to what the branch before it made of that"


def judge(model: RegisteredModel, run: Run) -> Judgement:
    """Silence the branches, and look at what is left of each block."""
    declared = model.entry.residual
    if declared is None:
        return not_applicable("the specs declare no `residual`")
    try:
        asked: dict[str, Plain] = {block: list[Plain](layers) for block, layers in declared.items()}
        reply = model.call_on_batch(run, "model_residual", residual=asked)
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward",))
    blocks = _blocks(reply)
    silent = tensors_of(reply, "silent")
    gaps = {name: _gap(silent, index) for index, (name, _) in enumerate(blocks)}
    apart = [name for name, gap in gaps.items() if gap]
    if not apart:  # else what follows the block that is wrong tells nothing
        for index, (name, layers) in enumerate(blocks):
            if problem := _unjudged(silent, index, name) or _not_added(reply, index, name, layers):
                return problem
    worst = max(gaps.values(), default=0.0)
    if worst == float("inf"):
        return failed(f"with its branches silent {apart[0]} returns what is no number", fix=_FIX)
    return judged(
        Measured(
            value=worst,
            bound=0.0,
            comparison=Comparison.EQUAL,
            origin=f"adding zero changes no number; blocks {', '.join(gaps)}",
            unit="max abs difference",
        ),
        otherwise=f"with its branches silent {', '.join(apart)} does not return what it was given",
        fix=_FIX,
    )


def _gap(seen: Mapping[str, Tensor], index: int) -> float:
    return max((difference({"": given}, {"": returned}) for given, returned in _calls(seen, index)), default=0.0)


def _unjudged(silent: Mapping[str, Tensor], index: int, name: str) -> Judgement | None:
    calls = list(_calls(silent, index))
    if not calls:
        return error(f"{name} is not run, or is given no tensor of the shape of what it returns: it is not judged")
    if all(float(given.abs().max()) == 0 for given, _ in calls if given.numel()):
        return error(f"{name} is given zeros, which tell nothing")
    return None


def _not_added(reply: Mapping[str, Plain], index: int, name: str, layers: list[str]) -> Judgement | None:
    """Judge whether each branch alone changes what the block returns; None where it does."""
    for branch, layer in enumerate(layers):
        alone = tensors_of(reply, f"alone.{branch}")
        if not _gap(alone, index):
            said = alone.get(f"{index}.said")
            if said is None or float(said) == 0:
                return error(f"{layer} of {name} is not run, or returns zeros by itself: nothing was tested")
            return failed(f"what {layer} computes is not added in {name}", fix=_FIX)
    return None


def _blocks(reply: Mapping[str, Plain]) -> list[tuple[str, list[str]]]:
    told = reply.get("blocks")
    pairs = [each for each in told if isinstance(each, list) and len(each) == 2] if isinstance(told, list) else []
    return [(str(name), [str(layer) for layer in layers]) for name, layers in pairs if isinstance(layers, list)]


def _calls(seen: Mapping[str, Tensor], index: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what a block was given and what it returned, of each of its calls that are kept."""
    number = 0
    while f"{index}.{number}.given" in seen:
        yield seen[f"{index}.{number}.given"], seen[f"{index}.{number}.returned"]
        number += 1
