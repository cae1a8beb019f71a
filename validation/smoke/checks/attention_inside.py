"""The attention that a model contains is one that the attention audit judges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit.gateway import ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
from audit.replies import list_of, number_of
from audit.results import Check, Comparison, Severity
from validation.smoke.checks import forward
from validation.smoke.model import RegisteredModel

CHECK = Check(
    id="smoke.attention",
    title="Its attention is judged by the attention audit",
    proves="Every attention class of the inventory that runs in one forward of the model is declared under "
    "ATTENTION in "
    "the specs, itself or a class that it is derived from, and so compared with the oracle by `astrobio-audit "
    "attention`. The verdict on it is in the results of that class.",
    defect="an ATTENTION from which a class is missing that a model uses",
    severity=Severity.MAJOR,
)
REQUIRES = (forward.CHECK.id,)
Class = tuple[str, str]  # module, qualname
_TORCH = ("torch.nn.modules.activation", "MultiheadAttention")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Attention classes that the sources hold, and what is declared of them.

    Attributes:
        found: by the inventory.
        declared: the entries of ATTENTION by their class; None without ATTENTION.
        has_specs: whether the model is one of the specs, which could declare it.
    """

    found: frozenset[Class]
    declared: Mapping[Class, Sequence[str]] | None
    has_specs: bool = True


def judge(model: RegisteredModel, run: Run, known: Judged) -> Judgement:
    """Look for each attention that runs among what is declared."""
    try:
        reply = model.call_on_batch(run, "model_contents")
    except TargetRaised as raised:
        return judge_raised(raised, run.target, phases=("forward",))
    return model.sized(_judged(reply, known), reply)


def _judged(reply: Mapping[str, Plain], known: Judged) -> Judgement:
    declared = known.declared or {}
    covered: dict[Class, Sequence[str]] = {}
    missing: list[Class] = []
    for bases in _modules(reply):
        attention = next((base for base in bases if base in known.found or base in declared or base == _TORCH), None)
        if attention is None or attention in covered or attention in missing:
            continue
        entry = next((declared[base] for base in bases if base in declared), None)
        if entry is not None:
            covered[attention] = entry
        elif attention != _TORCH:
            missing.append(attention)
        else:
            covered[attention] = ("torch's own, which attention.model_cores traces",)
    fused = number_of(reply, "fused")
    if not covered and not missing:
        calls = f", and calls torch's attention {fused:g} times, which attention.model_cores traces" if fused else ""
        return not_applicable(f"no attention class of the inventory runs in it{calls}")
    if missing and not known.has_specs:
        return not_applicable(
            f"undeclared: the contract of {_listed(missing)}, which runs in it: ATTENTION[...], and no specs declare "
            "the model; `astrobio-audit attention` judges it without one, and `astrobio-audit spec FILE::NAME` prints "
            "one to begin with"
        )
    if missing and known.declared is None:
        return error(
            f"{_listed(missing)} runs in it, and the specs define no ATTENTION: it is compared with no declared "
            f"contract",
            fix="declare it under ATTENTION in the specs",
        )
    entries = "; ".join(f"{qualname}: {_entries(names)}" for (_, qualname), names in sorted(covered.items()))
    return judged(
        Measured(
            value=len(missing),
            bound=0,
            comparison=Comparison.EQUAL,
            origin=f"`astrobio-audit attention` compares what ATTENTION declares with the oracle: {entries or 'none'}",
            unit="attention classes that run in it and are not declared",
        ),
        otherwise=f"runs in it, and ATTENTION in the specs does not declare it: {_listed(missing)}",
        fix="declare it under ATTENTION in the specs",
    )


def _entries(names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def _listed(classes: Sequence[Class]) -> str:
    return ", ".join(f"{module}:{qualname}" for module, qualname in classes)


def _modules(reply: Mapping[str, Plain]) -> list[list[Class]]:
    found = []
    for each in list_of(reply, "modules"):
        match each:
            case [str(), list() as bases]:
                found.append([(str(base[0]), str(base[1])) for base in bases if isinstance(base, list)])
            case _:
                raise ProbeFailure("the target's process sent a malformed module")
    return found
