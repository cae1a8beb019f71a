"""Every model class in the sources ran in at least one registered model."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.replies import table_of
from audit.results import Check, Comparison, Severity
from validation.smoke.model import BATCH_SIZE
from validation.smoke.without_forward import REASON, REASON_UNUSED

CHECK = Check(
    id="smoke.reached",
    title="The class ran in a registered model",
    proves="An instance of the class, or of a subclass, was called in one forward pass of a registered model, or in "
    "what the specs call beside it: its loss, `inference`, `generate`, and the loss of TRAINING; of a class without "
    "a forward, another method was. A base without a forward is asked for in what is derived from it alone.",
    defect="a model class that no registered model uses",
    severity=Severity.MAJOR,
)
Class = tuple[str, str]  # module, qualname


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What each class ran in, such as the names of models, and what could not be run."""

    models: Mapping[Class, list[str]]
    unknown: tuple[str, ...]

    def of(self, names: list[str]) -> list[str]:
        """Return those of the names that could be run."""
        return [name for name in names if name not in self.unknown]


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
        for pair in _pairs(reply.get("classes")):
            reached.setdefault(pair, []).append(name)
    return Reach(models=reached, unknown=tuple(unknown))


def find_reach_beside(specs: str, models: list[str], training: list[str], run: Run) -> Reach:
    """The same of the loss, `inference` and `generate` of models, and of the loss of entries of TRAINING."""
    reached: dict[Class, list[str]] = {}
    unknown: list[str] = []
    entries = [("MODELS", name, name) for name in models]
    for section, name, shown in entries + [("TRAINING", name, f"TRAINING[{name!r}]") for name in training]:
        try:
            reply = run.probe.call_unharmed(
                "model_reached_beside", specs=specs, section=section, name=name, seed=run.seed, batch_size=BATCH_SIZE
            )
        except (TargetRaised, ProbeFailure):
            unknown.append(f"what is called beside the forward of {shown}" if section == "MODELS" else shown)
            continue
        unknown += [f"{shown} ({part})" for part in table_of(reply, "raised")]
        for part, pairs in table_of(reply, "classes").items():
            for pair in _pairs(pairs):
                reached.setdefault(pair, []).append(f"{shown} ({part})")
    return Reach(models=reached, unknown=tuple(unknown))


def judge(
    class_: Class,
    reach: Reach,
    attention: str | None,
    *,
    beside: Callable[[], Reach],
    is_base: bool = False,
    has_forward: bool = True,
) -> Judgement:
    """Judge one class of the inventory.

    Args:
        class_: the class.
        reach: the models in whose forward each class ran.
        attention: the entry of the specs that declares it as an attention.
        beside: returns what else each class ran in; it is asked where no forward runs the class.
        is_base: whether it has no forward, and other classes are derived from it alone.
        has_forward: whether it may have a forward; else only its methods are used.
    """
    models = reach.models.get(class_, [])
    if not models and attention is not None:
        return not_applicable(
            f"no registered model runs it; the specs declare it as ATTENTION[{attention!r}], "
            "and the attention audit builds and calls it"
        )
    if not models and is_base:
        return not_applicable(REASON)
    unknown = reach.unknown
    if not models:
        more = beside()
        models, unknown = more.models.get(class_, []), unknown + more.unknown
    if not models and unknown:
        return error(f"could not run: {', '.join(unknown)}; whether it uses this class is unknown")
    if not models and not has_forward:
        return not_applicable(REASON_UNUSED)
    return judged(
        Measured(
            value=len(models),
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin=f"ran in: {', '.join(models)}" if models else "a class that never ran is not verified by anything",
            unit="functions of the specs" if models and class_ not in reach.models else "registered models",
        ),
        otherwise="no registered model runs this class, so no check says anything about it",
        fix="register a model that uses it under MODELS, call it in a function of its `inference` where it is used "
        "beside forward, as averaged weights are, declare it under ATTENTION where it is one, or remove it",
    )


def _pairs(classes: Plain) -> Iterator[Class]:
    for pair in classes if isinstance(classes, list) else []:
        match pair:
            case [str() as module, str() as qualname]:
                yield module, qualname
