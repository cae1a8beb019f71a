"""Decoding through the cache gives the outputs of the full forward."""

from audit.attention.bounds import Deviation, distance, is_constant
from audit.attention.cases import plain_case
from audit.attention.properties.judging import call_raised, judge_deviations
from audit.attention.properties.runs import bound_origin, compared
from audit.attention.subject import LENGTH, AttentionSubject
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Severity

CHECK = Check(
    id="attention.kv_cache",
    title="Cached decoding equals the full forward",
    proves="Token by token, in threes, and as a prompt followed by single tokens, the cache gives what one full pass "
    "gives.",
    defect="positions that restart one too low when the cache is not empty",
    severity=Severity.CRITICAL,
)

_CHUNKINGS = {
    "token by token": [1] * LENGTH,
    "chunks of three": [3] * (LENGTH // 3) + [LENGTH % 3],
    "a prompt, then single tokens": [LENGTH - 3, 1, 1, 1],
}


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Decode one input in several chunkings and compare each with the full forward."""
    if not subject.decodes:
        return not_applicable("the specs declare no `decode`: there is no cache to check")
    if subject.contract.is_causal is None:
        return not_applicable("undeclared: whether it is causal, without which decoding is not defined")
    if not subject.contract.is_causal:
        return not_applicable("the contract declares is_causal = False: decoding is not defined for it")
    case = plain_case(subject, subject.generator(run.seed))
    deviations: list[tuple[str, Deviation]] = []
    for dtype in subject.contract.dtypes:
        try:
            runs = compared(subject, run, dtype, [case], chunkings=list(_CHUNKINGS.values()))
        except TargetRaised as raised:
            return call_raised(subject, run, raised)
        full, *decoded = runs.outputs
        blind = "every token has the same output, cached or not" if is_constant(full, runs.bound) else None
        for name, output in zip(_CHUNKINGS, decoded, strict=True):
            error = distance(output, full)
            deviations.append((dtype, Deviation(case=name, error=error, bound=runs.bound, blind=blind)))
    return judge_deviations(
        deviations,
        origin=bound_origin(subject),
        otherwise="decoding through the cache differs from the full forward, as where positions or the causal diagonal "
        "restart behind cached tokens: {case}",
        fix="continue positions and the causal diagonal from the number of cached tokens",
    )
