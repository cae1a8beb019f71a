"""Every model class in the sources ran in at least one registered model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.results import Check, Comparison, Severity
from validation.smoke.model import BATCH_SIZE
from validation.smoke.without_forward import REASON

CHECK = Check(
    id="smoke.reached",
    title="The class ran in a registered model",
    proves="An instance of the class, or of a subclass, was called in one forward pass of a registered model; "
    "of a class without a forward, another method was. A base without a forward is asked for in what is derived from "
    "it alone.",
    defect="a model class that no registered model uses",
    severity=Severity.MAJOR,
)
Class = tuple[str, str]  # module, qualname


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The models in which each class ran, and the models that could not be run."""

    models: Mapping[Class, list[str]]
    unknown: tuple[str, ...]


def find_reach(specs: str, models: list[str], run: Run) -> Reach:
    """Run every registered model once and note the classes of the modules that were called."""
    reached: dict[Class, list[str]] = {}
    unknown: list[str] = []
    for name in models:
        try:
            reply = run.probe.call_unharmed(
                "model_reached", specs=specs, name=name, seed=run.seed, batch_size=BATCH_SIZE
            )
        except (TargetRaised, ProbeFailure):
            unknown.append(name)  # smoke.build and smoke.forward say what is wrong with it
            continue
        for pair in _pairs(reply):
            reached.setdefault(pair, []).append(name)
    return Reach(models=reached, unknown=tuple(unknown))


def judge(class_: Class, reach: Reach, attention: str | None, *, is_base: bool = False) -> Judgement:
    """Judge one class of the inventory.

    Args:
        class_: the class.
        reach: where each class ran.
        attention: the entry of the specs that declares it as an attention.
        is_base: whether it has no forward, and other classes are derived from it alone.
    """
    models = reach.models.get(class_, [])
    if not models and attention is not None:
        return not_applicable(
            f"no registered model runs it; the specs declare it as ATTENTION[{attention!r}], "
            "and the attention audit builds and calls it"
        )
    if not models and is_base:
        return not_applicable(REASON)
    if not models and reach.unknown:
        return error(f"could not run: {', '.join(reach.unknown)}; whether it uses this class is unknown")
    return judged(
        Measured(
            value=len(models),
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin=f"ran in: {', '.join(models)}" if models else "a class that never ran is not verified by anything",
            unit="registered models",
        ),
        otherwise="no registered model runs this class, so no check says anything about it",
        fix="register a model that uses it under MODELS, declare it under ATTENTION where it is one, or remove it",
    )


def _pairs(reply: Mapping[str, Plain]) -> Iterator[Class]:
    classes = reply.get("classes")
    for pair in classes if isinstance(classes, list) else []:
        match pair:
            case [str() as module, str() as qualname]:
                yield module, qualname
