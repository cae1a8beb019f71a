"""Every argument that a call takes has an effect, or is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from audit.attention.bounds import distance
from audit.attention.cases import key_length, plain_case, with_mask
from audit.attention.properties.judging import call_raised, no_reference
from audit.attention.properties.runs import compared
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, Measured, judged, not_applicable
from audit.plan import Run
from audit.results import Check, Comparison, Severity

CHECK = Check(
    id="attention.arguments_used",
    title="Every argument has an effect or is refused",
    proves="Each optional mask, bias, causal flag, head mask, position and request for weights that a call takes "
    "changes what comes out, alone and beside a mask of keys, unless the source says that nothing reads it.",
    defect="a second mask that is in the signature and nowhere else",
    severity=Severity.MAJOR,
)

_ORIGIN = "what is passed by a name that promises an effect has one, or is refused"
_PROMISING = ("mask", "bias", "causal", "head mask")  # what also has to act beside a mask of keys


@dataclass(frozen=True, kw_only=True)
class _Argument:
    """What the probe found of one argument."""

    name: str
    role: str
    values: Sequence[Plain]
    read: bool
    unused: bool
    shows: bool


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Give each optional argument values that must show in the output."""
    if subject.is_declared:
        return not_applicable("the specs call it with the arguments that they choose")
    arguments = [each for each in map(_argument, _listed(subject)) if each and not each.unused]
    if not arguments:
        return not_applicable("it takes no optional mask, bias, flag or position")
    generator = subject.generator(run.seed)
    whole = plain_case(subject, generator, is_causal=False)
    tries = [(each, value) for each in arguments for value in each.values]
    cases = [whole, *(_given(whole, each, value) for each, value in tries)]
    beside: list[Case] = []
    if subject.contract.key_mask:
        mask = torch.ones(whole.inputs.shape[0], key_length(whole), dtype=torch.bool)
        mask[:, -1] = False
        masked = with_mask(subject, whole, mask, "a mask of keys")
        beside = [masked, *(_given(masked, each, value) for each, value in tries)]
    dtype = subject.finest_dtype
    try:
        runs = compared(subject, run, dtype, [*cases, *beside])
    except TargetRaised as raised:
        return call_raised(subject, run, raised)
    if trouble := no_reference(runs.outputs[0], runs.bound, may_be_constant=True):
        return trouble
    alone = _effects(runs.outputs[: len(cases)], runs.answers.refused, 0)
    besides = _effects(runs.outputs[len(cases) :], runs.answers.refused, len(cases)) if beside else []
    lost: list[str] = []
    open_: list[str] = []
    tested = 0
    for each in arguments:
        own = [index for index, (of, _) in enumerate(tries) if of is each]
        acts = [size for index in own if (size := alone[index]) is not None]
        if each.role == "weights":
            tested += 1
            if not each.shows:
                (lost if not each.read else open_).append(f"{each.name} is taken and no weights are returned")
            continue
        if not acts:
            continue  # it is refused, in every form that was tried
        tested += 1
        if max(acts) <= runs.bound:
            if each.read:
                open_.append(f"{each.name} changed nothing in the forms that were tried")
            else:
                lost.append(f"{each.name} is taken, nothing reads it, and it changes nothing")
        elif besides and each.role in _PROMISING:
            # In the form that shows most, for in another it may be no mask at all.
            best = max(own, key=lambda index: alone[index] or 0.0)
            if (size := besides[best]) is not None and size <= runs.bound:
                lost.append(f"{each.name} acts alone, and not beside a mask of keys")
    if not tested:
        return not_applicable("every optional argument that was tried is refused")
    if not lost and open_:
        return not_applicable(f"undeclared: what it takes arguments for; observed: {'; '.join(open_)}")
    measured = Measured(
        value=len(lost), bound=0, comparison=Comparison.EQUAL, origin=_ORIGIN, unit="arguments without an effect"
    )
    return judged(
        measured,
        otherwise="; ".join(lost),
        fix="use the argument, raise an exception where it is given, or take it out of the signature",
    )


def _listed(subject: AttentionSubject) -> Sequence[Plain]:
    found = subject.form.get("optional")
    return found if isinstance(found, list) else []


def _argument(entry: Plain) -> _Argument | None:
    if not isinstance(entry, dict) or not isinstance(values := entry.get("values"), list):
        return None
    return _Argument(
        name=str(entry["name"]),
        role=str(entry["role"]),
        values=values,
        read=bool(entry["read"]),
        unused=bool(entry["unused"]),
        shows=bool(entry.get("shows", True)),
    )


def _given(case: Case, argument: _Argument, value: Plain) -> Case:
    return case.under(f"{case.name} and {argument.name}", more={argument.name: value}, tolerated=True)


def _effects(outputs: Sequence[torch.Tensor], refused: Mapping[int, str], first: int) -> list[float | None]:
    """Return how far each output is from the first; None where the call was refused."""
    base, *others = outputs
    return [
        None if first + index in refused else distance(output, base) for index, output in enumerate(others, start=1)
    ]
