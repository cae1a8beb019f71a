"""Linear biases fall with the distance, by the declared slopes."""

import math
from collections.abc import Sequence

import torch

from audit.attention.cases import keys_of, plain_case
from audit.attention.contract import published_slopes
from audit.attention.properties.traced_judging import judge_cores
from audit.attention.subject import AttentionSubject, Case
from audit.attention.traced import Core, cores_of, trace_of, untold
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.alibi",
    title="Linear biases have the declared slopes",
    proves="On tokens that are all the same, the logarithms of the weights of each head fall linearly with the "
    "distance of the key, by the declared slopes, or those of the paper where the name says ALiBi.",
    defect="a bias that grows with the distance",
    severity=Severity.CRITICAL,
)
_SAME = 1e-2  # relative; neighbours in a series differ by 30 % and more
_LEAST = 1e-30  # a weight below it may be one that was masked
_FIX = "subtract slope * (query - key), with 2^(-8 i / n) and the slopes between for heads beyond a power of two"


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Read the slope of each head from the weights of tokens whose content tells nothing apart."""
    contract = subject.contract
    if contract.alibi_slopes is None:
        return not_applicable("no linear biases are declared")
    if contract.rotary_base is not None:
        return not_applicable("the contract declares rotary positions too: the weights tell no slopes")
    case = _alike(plain_case(subject, subject.generator(run.seed)))
    cores = cores_of(trace_of(subject, run, subject.finest_dtype, case))
    told = [(core, slopes) for core in cores if (slopes := _slopes(core)) is not None]
    if not told:
        return untold(subject, "the weights do not tell the slopes of the heads")
    wrong = [(core, reason + subject.claim("alibi_slopes", "published slopes")) for core, slopes in told
             if (reason := _trouble(subject, slopes))]  # fmt: skip
    return judge_cores(wrong, [core for core, _ in told], run, origin="the slope of each head", fix=_FIX)


def _alike(case: Case) -> Case:
    """Return the case with one and the same token, or key, at every position."""
    tensors = {name: tensor[..., :1, :].expand_as(tensor).clone() for name in keys_of(case) if name != "value"
               for tensor in (case.tensors[name],)}  # fmt: skip
    return case.replaced("one token at every position", **tensors)


def _slopes(core: Core) -> list[float] | None:
    """Return the slope of each head; None where the logarithms of the weights are not linear in the distance."""
    if not core.weights:
        return None
    found = []
    for head in core.weights:
        pairs = [
            (query - key, math.log(row[query] / weight))
            for query, row in enumerate(head)
            for key, weight in enumerate(row[:query])
            if weight > _LEAST and row[query] > _LEAST
        ]
        if not pairs:
            return None
        slope = float(torch.tensor([fall / ahead for ahead, fall in pairs], dtype=torch.float64).median())
        if any(abs(fall - slope * ahead) > _SAME * max(abs(fall), 1e-2) for ahead, fall in pairs):
            return None
        found.append(slope)
    return found


def _trouble(subject: AttentionSubject, slopes: Sequence[float]) -> str | None:
    if all(slope < 0 for slope in slopes):
        return "the logits grow with the distance of the key"
    declared = subject.contract.alibi_slopes
    series = [published_slopes(len(slopes)) if isinstance(declared, str) or declared is None else declared]
    if not subject.is_declared and "published slopes" not in subject.claims:
        if not any(slopes):
            return "the logits do not depend on the distance of the key"
        # Many go on with one series where the number of heads is no power of two.
        series.append(tuple(2.0 ** (-8 * (i + 1) / len(slopes)) for i in range(len(slopes))))
    if any(_agree(slopes, each) for each in series):
        return None
    ordered = ", ".join(f"{slope:.4g}" for slope in slopes)
    return (
        f"the slopes of the heads are {ordered}, where {', '.join(f'{slope:.4g}' for slope in series[0])} are declared"
    )


def _agree(slopes: Sequence[float], wanted: Sequence[float]) -> bool:
    """Whether the slopes are the wanted ones, in any order: the trace may number heads otherwise."""
    return all(
        abs(found - each) <= _SAME * abs(each) for found, each in zip(sorted(slopes), sorted(wanted), strict=True)
    )
