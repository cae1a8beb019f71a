"""Decoding through the cache gives the outputs of the full forward."""

from audit.attention.bounds import Deviation, distance, is_constant
from audit.attention.cases import plain_case
from audit.attention.properties.judging import DOCUMENTED_CALLS, TWO_RUNS_BOUND, judge_deviations, no_oracle
from audit.attention.subject import LENGTH, AttentionSubject
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.raised import judge_raised
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
    if not subject.contract.is_causal:
        return not_applicable("the contract declares is_causal = False: decoding is not defined for it")
    if not subject.has_oracle:
        return no_oracle(subject)
    case = plain_case(subject, subject.generator(run.seed))
    deviations: list[tuple[str, Deviation]] = []
    for dtype in subject.contract.dtypes:
        try:
            answers = subject.decode(run, dtype, case, list(_CHUNKINGS.values()))
        except TargetRaised as raised:
            return judge_raised(raised, run.target, phases=DOCUMENTED_CALLS)
        bound = 2 * subject.allowance(answers.state, case, dtype)
        full, *decoded = answers.outputs
        blind = "every token has the same output, cached or not" if is_constant(full, bound) else None
        for name, output in zip(_CHUNKINGS, decoded, strict=True):
            deviations.append((dtype, Deviation(case=name, error=distance(output, full), bound=bound, blind=blind)))
    return judge_deviations(
        deviations,
        origin=TWO_RUNS_BOUND,
        otherwise="decoding through the cache differs from the full forward: {case}",
        fix="continue positions and the causal diagonal from the number of cached tokens",
    )
