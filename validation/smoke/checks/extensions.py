"""Compiled extensions are there, and the models compute the same without them."""

from collections.abc import Sequence

from audit.gateway import TargetRaised
from audit.judgement import Judgement, Measured, error, judged, not_applicable, skipped
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import list_of, names_of
from audit.results import Check, Severity
from audit.static.inventory import InventoryItem
from audit.static.kinds import InventoryKind
from validation.smoke.compare import difference, unusable
from validation.smoke.model import RegisteredModel, listed, tensors_of

CHECK = Check(
    id="smoke.extensions",
    title="Models compute the same without the compiled extensions",
    proves="Every registered model that imports a compiled extension of the package gives the same outputs, within "
    "the effect of rounding, in a process in which none of the extensions can be imported.",
    defect="a fallback in Python that leaves a scale out",
    severity=Severity.MAJOR,
)
_TRITON = "triton"  # compiled by Triton when it runs: judged as a backend of attention


def native(inventory: Sequence[InventoryItem]) -> tuple[InventoryItem, ...]:
    """Return the extensions that are compiled when the package is built."""
    found = (item for item in inventory if item.kind is InventoryKind.EXTENSION)
    return tuple(item for item in found if item.facts.get("language") != _TRITON)


def judge(found: Sequence[InventoryItem], models: Sequence[RegisteredModel], run: Run) -> Judgement:
    """Compare every model's outputs with and without; what counts is the largest gap as a share of its bound."""
    if not found:
        return not_applicable("the inventory has no compiled extension")
    absent = [item.qualname or item.path for item in found if not item.facts.get("present")]
    if absent:
        return skipped(f"needs the extensions to be built, and these are not: {listed(absent)}")
    names = sorted({item.qualname for item in found if item.qualname})
    if not models:
        return skipped("needs a registered model, and the specs declare none")
    largest, used = 0.0, dict[str, list[str]]()
    for model in models:
        try:
            reply = model.call_on_batch(run, "model_with_extensions", extensions=list(names))
        except TargetRaised:
            continue  # smoke.build and smoke.forward say what is wrong with it
        output = tensors_of(reply, "output")
        loaded = names_of(reply, "loaded")
        if not loaded or unusable(output):
            continue
        used[model.name] = loaded
        try:
            without = model.call_aside(run, "model_without_extensions", extensions=list(names))
        except TargetRaised as raised:
            return judge_raised(raised, run.target, phases=("import", "build", "forward"))
        gap = difference(output, tensors_of(without, "output"))
        changed = [tensors_of({"each": each}, "each") for each in list_of(reply, "disturbed")]
        bound = max((difference(output, each) for each in changed), default=0.0)
        share = 0.0 if gap == 0 else gap / (2 * bound) if bound else float("inf")
        largest = max(largest, share)
    if not used:
        return error(f"no registered model that runs imports {listed(names)}: nothing could be compared")
    return judged(
        Measured(
            value=largest,
            bound=1.0,
            origin="twice the largest change of the outputs among eight draws in which every weight and every input "
            f"was changed by the rounding of its dtype; models that import an extension: {listed(sorted(used))}",
            unit="difference of the outputs / bound",
        ),
        otherwise=f"without {listed(names)} the outputs differ by {largest:.3g} times what rounding explains",
        fix="make the fallback compute what the extension computes",
    )
