"""The output equals softmax attention as the contract defines it, computed in float64."""

import math
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from audit.attention.bounds import Deviation, distance
from audit.attention.cases import oracle_cases
from audit.attention.contract import Contract, Dtype
from audit.attention.oracle import FAITHFUL, Departure
from audit.attention.properties.judging import (
    DOCUMENTED_CALLS,
    ORACLE_BOUND,
    against_oracle,
    judge_deviations,
    no_oracle,
)
from audit.attention.subject import AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement
from audit.plan import Run
from audit.raised import HOW_ATTENTION_IS_CALLED, judge_raised
from audit.results import Check, Severity

CHECK = Check(
    id="attention.oracle",
    title="Output equals the float64 oracle",
    proves="On the tested lengths and masks the output is that of softmax attention as the contract defines it: scale, "
    "head grouping, rotary embedding, mask and projections included.",
    defect="logits scaled by 1/sqrt(embed_dim) instead of 1/sqrt(head_dim)",
    severity=Severity.CRITICAL,
)

# Those of Su et al. 2021 (and Llama), of images, of long contexts (Code Llama, Llama 3), and powers of ten beside them.
_BASES = (10_000.0, 500_000.0, 1_000_000.0, 100_000.0, 1_000.0, 100.0)
_TURNED = {
    "queries that are rotated and keys that are not": (1, 0, 0),
    "keys that are rotated and queries that are not": (0, 1, 0),
    "queries that are rotated the other way than keys": (-1, 1, 0),
    "keys that are rotated the other way than queries": (1, -1, 0),
    "queries and keys that are rotated the other way": (-1, -1, 0),
    "values that are rotated as queries and keys are": (1, 1, 1),
}


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare the target with the oracle in every declared dtype and case."""
    if not subject.has_reference:
        return no_oracle(subject)
    cases = oracle_cases(subject, subject.generator(run.seed))
    deviations: list[tuple[str, Deviation]] = []
    hint = ""
    for dtype in subject.contract.dtypes:
        try:
            answers = subject.forward(run, dtype, cases)
        except TargetRaised as raised:
            return judge_raised(raised, run.target, phases=DOCUMENTED_CALLS, called=HOW_ATTENTION_IS_CALLED)
        wrong: list[tuple[Case, Tensor, float]] = []
        for case, output in zip(cases, answers.outputs, strict=True):
            deviation = against_oracle(subject, answers.state, case, output, dtype)
            deviations.append((dtype, deviation))
            if not deviation.holds:
                wrong.append((case, output, deviation.bound))
        if wrong and not hint:
            hint = _diagnosis(subject, dtype, answers.state, wrong)
    return judge_deviations(
        deviations,
        origin=ORACLE_BOUND,
        otherwise="output differs from the float64 oracle in case '{case}'" + hint + subject.claim("causal_alignment"),
        fix="compute what the contract declares, or declare what is computed",
    )


def _diagnosis(
    subject: AttentionSubject, dtype: Dtype, state: Mapping[str, Tensor], wrong: list[tuple[Case, Tensor, float]]
) -> str:
    """Return what the target computes instead, when one of the usual mistakes explains every wrong case."""
    for name, contract, departure in usual_mistakes(subject.contract, bases=subject.built.rotary_bases):
        if all(
            distance(
                output,
                subject.reference(state, subject.as_sent(case, dtype), contract=contract, departure=departure),
            )
            <= bound
            for case, output, bound in wrong
        ):
            return f"; it agrees with {name}"
    return ""


def usual_mistakes(contract: Contract, *, bases: Sequence[float] = ()) -> Iterator[tuple[str, Contract, Departure]]:
    """Yield what wrong implementations compute: in words, and as a contract and a departure that the oracle takes.

    Args:
        contract: what is declared.
        bases: of rotary embeddings, as tables of the module tell them.
    """
    declared = contract.effective_scale
    for name, scale in _wrong_scales(contract):
        yield f"scale {name} = {scale:.4g} where {declared:.4g} is declared", _with(contract, scale=scale), FAITHFUL
    yield "no causal mask", contract, Departure(causal=False)
    yield "a causal mask that is not declared", contract, Departure(causal=True)
    yield "causal alignment top_left", _with(contract, causal_alignment="top_left"), FAITHFUL
    yield "the mask ignored", contract, Departure(mask="ignored")
    yield "the mask inverted", contract, Departure(mask="inverted")
    if contract.is_causal and contract.key_mask and contract.given_mask != "replaces":
        yield "a given mask in the place of the causal one", _with(contract, given_mask="replaces"), FAITHFUL
    yield "softmax over the queries", contract, Departure(softmax_axis=-2)
    yield "softmax over the heads", contract, Departure(softmax_axis=1)
    grouping = "tiled" if contract.head_grouping == "interleaved" else "interleaved"
    yield f"{grouping} head grouping", _with(contract, head_grouping=grouping), FAITHFUL
    if contract.rotary_base is not None:
        yield from _rotary_mistakes(contract, contract.rotary_base)
    elif contract.projections is not None and contract.dim % 2 == 0:
        for base in dict.fromkeys((*bases, *_BASES)):
            for layout in ("half", "interleaved"):
                name = f"a rotary embedding of base {base:g} in layout '{layout}', and the contract lacks `rotary_base`"
                yield name, _with(contract, rotary_base=base, rotary_layout=layout), FAITHFUL


def _wrong_scales(contract: Contract) -> Iterator[tuple[str, float]]:
    """Yield each wrong scale once: where sizes coincide, with the names of all that give it."""
    sizes = {"head_dim": contract.dim, "embed_dim": contract.embed_dim, "num_heads": contract.heads}
    known = {name: size for name, size in sizes.items() if size}
    declared = contract.effective_scale
    scales = {"1": 1.0} | {f"1/sqrt({name})": size**-0.5 for name, size in known.items()}
    scales["the declared scale applied twice"] = declared * declared
    if declared:
        scales["the inverse of the declared scale"] = 1 / declared
    scales |= {f"1/{name}": 1 / size for name, size in known.items()}
    found: list[tuple[list[str], float]] = []
    for name, scale in scales.items():
        same = next((names for names, other in found if math.isclose(scale, other)), None)
        if same is not None:
            same.append(name)
        elif not math.isclose(scale, declared):
            found.append(([name], scale))
    for names, scale in found:
        yield " or ".join(names), scale


def _rotary_mistakes(contract: Contract, base: float) -> Iterator[tuple[str, Contract, Departure]]:
    other = "interleaved" if contract.rotary_layout == "half" else "half"
    yield "no rotary embedding", contract, Departure(turned=(0, 0, 0))
    yield f"rotary layout {other}", _with(contract, rotary_layout=other), FAITHFUL
    mixed = f"rotary angles laid out {other}, for pairs of features that are laid out {contract.rotary_layout}"
    yield mixed, contract, Departure(mixed_angles=True)
    for name, turned in _TURNED.items():
        yield name, contract, Departure(turned=turned)
    # Mistakes in the exponent -2i/head_dim are other bases, and may be usual ones.
    bases = {usual: [f"rotary base {usual:.0f}"] for usual in _BASES}
    for name, wrong in {
        "base^(-i/head_dim), half the exponent": base**0.5,
        "base^(-4i/head_dim), twice the exponent": base * base,
        "base^(2i/head_dim), not inverted": 1 / base,
    }.items():
        bases.setdefault(wrong, []).append(f"rotary frequencies {name}")
    for wrong, names in bases.items():
        if wrong != base:
            named = f"{' or '.join(names)}, where base {base:g} is declared"
            yield named, _with(contract, rotary_base=wrong), FAITHFUL


def _with(contract: Contract, **changes: object) -> Contract:
    return contract.model_copy(update=changes)
